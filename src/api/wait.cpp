#include "ndshare/wait.hpp"

#include <atomic>
#include <deque>
#include <vector>

#include "api/handle.h"
#include "api/interrupt.h"
#include "api/operation.h"
#include "base/check.h"
#include "platform/bell_pipe.h"
#include "platform/futex.h"

namespace ndshare {
namespace {
std::atomic<void (*)()> g_interrupt_check{nullptr};
}  // namespace

void set_interrupt_check(void (*check)()) noexcept { g_interrupt_check.store(check); }

void set_blocking_hooks(const BlockingHooks& hooks) noexcept {
    sync::g_block_hooks = {hooks.before, hooks.after};
}

namespace api {
void check_interrupt() {
    if (auto* check = g_interrupt_check.load()) check();
}
}  // namespace api

std::size_t wait(std::span<Waitable> things, Timeout timeout) {
    return api::in_operation("wait", "several", [&]() -> std::size_t {
        if (things.size() > platform::kFutexWordsMax) {
            throw Invalid("at most " + std::to_string(platform::kFutexWordsMax) +
                          " things at once, got " + std::to_string(things.size()));
        }
        sync::SpinBudget spin(0);
        sync::Patience patience(timeout.count(), spin, [] { api::check_interrupt(); });
        for (;;) {
            std::size_t ready_count = 0;
            std::deque<Array::Impl::Use> uses;  // keeps every segment while we sleep on its words
            std::vector<std::uint64_t> seen(things.size());
            for (std::size_t k = 0; k < things.size(); ++k) {
                Array::Impl& impl = *things[k].array_->impl_;
                things[k].ready_ = impl.closed();
                if (!things[k].ready_) {
                    const auto& use = uses.emplace_back(impl, "wait");
                    seen[k] = use.version().load();  // before the look: a later change is noticed
                    things[k].ready_ = impl.is_ready(use);
                }
                ready_count += things[k].ready_ ? 1 : 0;
            }
            if (ready_count > 0 || patience.over()) return ready_count;

            std::vector<platform::FutexWord> words;
            words.reserve(things.size());
            bool changed = false;
            for (std::size_t k = 0; k < things.size(); ++k) {
                changed |= !uses[k].version().announce_sleep(seen[k]);
                words.push_back(
                    {sync::WordAccess::futex_word(uses[k].segment().control().words().version),
                     static_cast<std::uint32_t>(seen[k])});
            }
            if (changed) continue;
            const std::int64_t slice_ns = patience.next_slice_ns();
            if (!platform::futex_wait_any(words, slice_ns)) {
                std::vector<int> bells;
                bells.reserve(things.size());
                for (std::size_t k = 0; k < things.size(); ++k) {
                    bells.push_back(things[k].array_->impl_->bell(uses[k]));
                }
                platform::poll_readable(bells, slice_ns);
            }
            patience.ask_whether_to_go_on();
            for (std::size_t k = 0; k < things.size(); ++k) {
                Array::Impl& impl = *things[k].array_->impl_;
                // A replacer that died before saying so: the thing is ready, its wait() raises.
                if (!impl.closed() && impl.is_replaced(uses[k].segment())) {
                    sync::Atomics::store_release(uses[k].segment().control().words().state,
                                                 static_cast<std::uint32_t>(layout::kReplaced));
                }
            }
        }
    });
}

}  // namespace ndshare

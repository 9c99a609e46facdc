#include "ndshare/wait.hpp"

#include <atomic>
#include <memory>
#include <vector>

#include "api/client.h"
#include "api/handle.h"
#include "api/interrupt.h"
#include "api/operation.h"
#include "api/subscriber.h"
#include "base/check.h"
#include "platform/bell_pipe.h"
#include "platform/fork_hooks.h"
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
void require_not_forked(unsigned fork_count_before) {
    if (platform::fork_count() == fork_count_before) return;
    throw Invalid("this process was forked in the middle of it; do it again");
}

void check_interrupt() {
    const unsigned forks = platform::fork_count();
    if (auto* check = g_interrupt_check.load()) check();
    require_not_forked(forks);
}
}  // namespace api

api::Awaited& Waitable::awaited() const {
    if (array_ != nullptr) return *array_->impl_;
    if (call_ != nullptr) return *call_->impl_;
    return *subscriber_->impl_;
}

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
            std::vector<std::unique_ptr<api::WaitRound>> rounds;  // keep what we sleep on
            rounds.reserve(things.size());
            for (Waitable& thing : things) {
                auto round = thing.awaited().begin_wait();
                thing.ready_ = round == nullptr;
                if (round) rounds.push_back(std::move(round));
                ready_count += thing.ready_ ? 1 : 0;
            }
            if (ready_count > 0 || patience.over()) return ready_count;

            std::vector<platform::FutexWord> words;
            words.reserve(rounds.size());
            bool changed = false, all_have_words = true;
            for (const auto& round : rounds) {
                const auto word = round->announce();
                changed |= !word;
                if (!word) continue;
                all_have_words &= word->word != nullptr;
                words.push_back(*word);
            }
            if (changed) continue;
            const std::int64_t slice_ns = patience.next_slice_ns();
            if (words.empty() || !all_have_words || !platform::futex_wait_any(words, slice_ns)) {
                std::vector<int> bells;
                bells.reserve(rounds.size());
                for (const auto& round : rounds) bells.push_back(round->bell());
                platform::poll_readable(bells, slice_ns);
            }
            patience.ask_whether_to_go_on();
            for (const auto& round : rounds) round->look_at_the_name();
        }
    });
}

}  // namespace ndshare

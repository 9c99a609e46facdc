#include "api/attrs.h"

#include "api/build.h"
#include "api/handle.h"
#include "api/interrupt.h"
#include "api/operation.h"
#include "platform/fork_hooks.h"
#include "sync/attrs_cell.h"

namespace ndshare {
namespace api {

std::string attrs_json(Segment& segment) {
    std::string text = sync::AttrsCell(segment.control(), segment.ground()).read();
    return text.empty() ? std::string("{}") : text;
}

void update_attrs(Segment& segment, const std::function<std::string(std::string_view)>& change,
                  const std::function<void()>& go_on) {
    sync::SpinBudget spin;
    sync::Patience patience(platform::kForeverNs, spin, go_on);
    sync::LocalLock& local = segment.attrs_local();
    local.acquire(patience, "this thread is changing the attributes already");
    const std::uint64_t owner = segment.owner();
    sync::WriteLock lock(segment.control().words().attrs_lock, segment.ground());
    try {
        lock.acquire(owner, patience);
    } catch (...) {
        local.release();
        throw;
    }
    const unsigned forks = platform::fork_count();
    try {
        sync::AttrsCell cell(segment.control(), segment.ground());
        if (!cell.was_ever_set()) segment.reserve_attrs();
        const std::string old_text = cell.read();
        const std::string new_text = change(old_text.empty() ? "{}" : old_text);
        require_not_forked(forks);
        require_attrs(new_text.empty() ? "empty" : new_text);
        cell.write(new_text);
    } catch (...) {
        // A child of change()'s holds nothing: the lock is its parent's.
        if (platform::fork_count() == forks) lock.release(owner);
        local.release();
        throw;
    }
    lock.release(owner);
    local.release();
}

}  // namespace api

std::string Array::attrs_json() const {
    return api::in_operation("attrs", impl_->name, [&] {
        const Impl::Use use(*impl_, "attrs");
        return api::attrs_json(use.segment());
    });
}

void Array::update_attrs(const std::function<std::string(std::string_view)>& change) {
    api::in_operation("attrs", impl_->name, [&] {
        const Impl::Use use(*impl_, "attrs");
        impl_->require_writeable("attrs");
        api::update_attrs(use.segment(), change, [this] { impl_->go_on("attrs", false); });
    });
}

}  // namespace ndshare

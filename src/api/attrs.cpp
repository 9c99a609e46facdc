#include "sync/attrs_cell.h"

#include "api/build.h"
#include "api/handle.h"
#include "api/operation.h"

namespace ndshare {

std::string Array::attrs_json() const {
    return api::in_operation("attrs", impl_->name, [&] {
        const Impl::Use use(*impl_, "attrs");
        std::string text = sync::AttrsCell(use.segment().control(), use.segment().ground()).read();
        return text.empty() ? std::string("{}") : text;
    });
}

void Array::update_attrs(const std::function<std::string(std::string_view)>& change) {
    api::in_operation("attrs", impl_->name, [&] {
        const Impl::Use use(*impl_, "attrs");
        api::Segment& segment = use.segment();
        impl_->require_writeable("attrs");
        sync::Patience patience(platform::kForeverNs, impl_->spin,
                                [this] { impl_->go_on("attrs", false); });
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
        try {
            sync::AttrsCell cell(segment.control(), segment.ground());
            if (!cell.was_ever_set()) segment.reserve_attrs();
            const std::string old_text = cell.read();
            const std::string new_text = change(old_text.empty() ? "{}" : old_text);
            api::require_attrs(new_text.empty() ? "empty" : new_text);
            cell.write(new_text);
        } catch (...) {
            lock.release(owner);
            local.release();
            throw;
        }
        lock.release(owner);
        local.release();
    });
}

}  // namespace ndshare

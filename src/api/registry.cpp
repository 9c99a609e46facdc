#include "ndshare/registry.hpp"

#include <algorithm>

#include "api/book.h"
#include "api/build.h"
#include "api/describe.h"
#include "api/operation.h"
#include "api/stream_memory.h"
#include "base/check.h"
#include "layout/name.h"
#include "platform/memory.h"
#include "platform/pattern.h"
#include "platform/process.h"
#include "platform/room.h"
#include "sync/attrs_cell.h"
#include "sync/peer_rows.h"
#include "sync/version.h"

namespace ndshare {
namespace {

using api::in_operation;

// Maps the control words read-only for one look.
class ControlLook {
 public:
    explicit ControlLook(const api::Found& found)
        : memory_(platform::map(found.fd.get(), found.description.fields.control_offset_bytes,
                                found.description.fields.control_bytes, false)),
          bytes_(found.description.fields.control_bytes) {}
    ~ControlLook() { platform::unmap(memory_, bytes_); }
    ControlLook(const ControlLook&) = delete;
    layout::Control control() const { return layout::Control(memory_); }

 private:
    std::byte* memory_;
    const std::size_t bytes_;
};

std::string name_space_prefix() {
    const std::string name_space = platform::environment("NDSHARE_NAMESPACE");
    return name_space.empty() ? "" : name_space + "/";
}

Info describe(const api::Found& found, std::size_t prefix_bytes) {
    const layout::Description& d = found.description;
    const ControlLook look(found);
    const layout::Control control = look.control();
    sync::Ground ground(found.fd.get(), control, layout::kRowCount,
                        {found.id.device, found.id.inode});

    Info info;
    info.name = d.name.substr(prefix_bytes);
    if (d.is_service()) {
        info.kind = Kind::service;
        info.specs = api::pool_fields(layout::plan_service_of(d.dtype, d.fields.slot_count));
    } else if (d.is_stream()) {
        info.kind = Kind::stream;
        const auto plan = layout::plan_slot_of(d.dtype);
        info.specs = api::to_fields(plan.fields);
        info.is_object = plan.is_object();
    } else {
        info.specs.emplace_back("", Spec{.shape = d.shape,
                                         .dtype = Dtype(std::string_view(d.dtype)),
                                         .order = d.fortran() ? Order::fortran : Order::c,
                                         .maxshape = {},
                                         .aligned = d.aligned()});
    }
    info.nbytes = d.fields.data_bytes;
    info.footprint_bytes = found.footprint_bytes;
    info.generation = d.fields.generation;
    info.persistent = found.persistent();
    info.path = api::path_of(found);
    info.dtype_aligned = d.aligned();
    info.attrs_json = sync::AttrsCell(control, ground).read();
    if (info.attrs_json.empty()) info.attrs_json = "{}";

    const auto peers = sync::living_peers(found.fd.get(), control, layout::kRowCount);
    for (const auto& peer : peers) {
        if (peer.who.pid_namespace == platform::identity().pid_namespace) {
            info.holders.push_back(static_cast<int>(peer.who.pid));
        }
    }
    std::sort(info.holders.begin(), info.holders.end());
    info.counters["peers"] = peers.size();
    if (d.is_stream()) {
        api::describe_stream(info, {control.base(), d.fields.slot_count}, ground);
        return info;
    }
    if (d.is_service()) {
        api::describe_service(info, {control.base(), d.fields.slot_count}, ground);
        return info;
    }
    const std::uint64_t version = sync::Atomics::load_acquire(control.words().version);
    const std::uint64_t lock = sync::Atomics::load_acquire(control.words().lock);
    const bool held = sync::names_a_row(lock) && ground.owner_is_alive(lock);
    // Odd and free is a verdict only if the word stood still while we looked at the lock.
    const bool same = sync::Atomics::load_acquire(control.words().version) == version;
    info.counters["version"] = sync::completed(version);
    info.counters["writing"] = held ? 1 : 0;
    info.counters["incomplete"] = sync::is_odd(version) && !held && same ? 1 : 0;
    return info;
}

}  // namespace

std::vector<Info> ls(std::string_view pattern) {
    return in_operation("ls", pattern, [&] {
        const std::string prefix = name_space_prefix();
        std::vector<Info> all;
        for (const auto& full_name : api::names(prefix)) {
            if (!platform::matches(full_name.substr(prefix.size()), std::string(pattern))) continue;
            try {
                if (const auto found = api::find(full_name)) {
                    all.push_back(describe(*found, prefix.size()));
                }
            } catch (const std::exception&) {
                rethrow_shortage();
                // One that cannot be read does not hide the others; info() says what is wrong.
            }
        }
        return all;
    });
}

Info info(std::string_view name) {
    return in_operation("info", name, [&] {
        const std::string prefix = name_space_prefix();
        const std::string full_name = api::full_name_of(name);
        const auto found = api::find(full_name);
        if (!found) {
            api::require_proc();
            throw Error(Errc::not_found, "info", std::string(name),
                        "nothing has this name; see `ndshare ls`");
        }
        return describe(*found, prefix.size());
    });
}

bool unlink(std::string_view name) {
    return in_operation("unlink", name, [&] {
        const std::string full_name = api::full_name_of(name);
        api::NameChange change(full_name);
        std::optional<api::Found> found;
        try {
            found = change.find();
        } catch (const CorruptBytes&) {
            return change.remove();  // what cannot be read can be removed
        } catch (const Error&) {
            return change.remove();  // what cannot be reached as well: the name is ours
        }
        return found ? change.unlink(*found) : change.remove();
    });
}

Places where() {
    return in_operation("where", "*", [] {
        Places places{api::book_folder(), api::persistent_folder(), {}};
        const platform::Fd probe = platform::make_memory("ndshare-probe", 0);
        for (const auto& limit : platform::Room(probe.get()).limits()) {
            places.limits.push_back(
                {limit.what, limit.remedy, limit.limit_bytes, limit.free_bytes});
        }
        return places;
    });
}

std::uint64_t footprint(const Spec& spec) {
    return in_operation("footprint", "",
                        [&] { return api::footprint_of(api::plan_array("footprint", spec, {})); });
}

}  // namespace ndshare

// Array::create and Array::open: from a wish to a handle.
#include <algorithm>

#include "api/book.h"
#include "api/build.h"
#include "api/handle.h"
#include "api/interrupt.h"
#include "api/operation.h"
#include "base/check.h"
#include "layout/dtype.h"
#include "layout/name.h"
#include "platform/clock.h"
#include "platform/folder_watch.h"
#include "platform/process.h"

namespace ndshare {
namespace {

using api::in_operation;
using api::Segment;

constexpr std::uint32_t kCreatesPerSweep = 64;
constexpr std::int64_t kOpenLockNs = 1'000'000'000;
constexpr std::int64_t kOpenSliceNs = 80'000'000;

std::string make_unique_name() {
    std::uint64_t random[2];
    platform::random_bytes(random, sizeof random);
    char text[48];
    std::snprintf(text, sizeof text, "unnamed-%016llx%08llx",
                  static_cast<unsigned long long>(random[0]),
                  static_cast<unsigned long long>(random[1] & 0xffffffffU));
    return text;
}

Spec spec_of(const layout::Description& description) {
    return {.shape = description.shape,
            .dtype = Dtype(std::string_view(description.dtype)),
            .order = description.fortran() ? Order::fortran : Order::c,
            .maxshape = {},
            .aligned = description.aligned()};
}

void require_array(const api::Found& found) {
    if (found.description.is_stream()) {
        throw Invalid("the name leads to a stream, not an array; ndshare.Subscriber reads it");
    }
    if (found.description.is_service()) {
        throw Invalid("the name leads to a service, not an array; ndshare.Client asks it");
    }
}

void require_spec(const char* operation, std::string_view name, const Spec& wanted,
                  const Spec& found, bool shape, bool dtype, bool order) {
    const bool same = (!shape || wanted.shape == found.shape) &&
                      (!dtype || wanted.dtype == found.dtype) &&
                      (!order || wanted.order == found.order || found.shape.size() < 2);
    if (same) return;
    Spec shown = wanted;
    if (!shape) shown.shape = found.shape;
    if (!dtype) shown.dtype = found.dtype;
    throw SpecMismatch(operation, std::string(name), shown, found);
}

Error existing_error(const std::string& name, const api::Found& current) {
    const std::string path = api::path_of(current);
    const std::string where = current.persistent() || path.size() < 6
                                  ? "it is the file " + path
                                  : "held by process " + path.substr(6, path.find("/fd/") - 6);
    const std::string what = current.description.is_stream() ? "a stream"
                             : current.description.is_service()
                                 ? "a service"
                                 : to_string(spec_of(current.description));
    return Error(Errc::exists, "create", name,
                 "the name is taken (" + what + ", " + where +
                     "); existing=\"adopt\" joins it, existing=\"replace\" takes the name, "
                     "ndshare.open opens it");
}

}  // namespace

SpecMismatch::SpecMismatch(const std::string& operation, const std::string& name,
                           const Spec& expected_spec, const Spec& found_spec,
                           const std::string& field)
    : Error(
          Errc::spec_mismatch, operation, name,
          (field.empty() ? "" : "\"" + field + "\": ") + "expected " + to_string(expected_spec) +
              ", found " + to_string(found_spec) +
              (operation == "open"     ? "; leave the expectation out to take what is there"
               : operation == "create" ? "; use the found one, or create with existing=\"replace\""
                                       : "")),
      expected(expected_spec),
      found(found_spec) {}

// ---- creating and opening -----------------------------------------------------------------------

Array Array::create(std::string_view name, const Spec& spec, const CreateOptions& options) {
    return make(name, spec, std::nullopt, options);
}

Array Array::create(std::string_view name, const Spec& spec, std::span<const std::byte> data,
                    const CreateOptions& options) {
    return make(name, spec, data, options);
}

Array Array::make(std::string_view given, const Spec& spec,
                  const std::optional<std::span<const std::byte>>& data,
                  const CreateOptions& options) {
    static std::atomic<std::uint32_t> count{0};
    if (count.fetch_add(1, std::memory_order_relaxed) % kCreatesPerSweep == 0) {
        api::sweep_some_names();
    }
    const std::string name = given.empty() ? make_unique_name() : std::string(given);
    return in_operation("create", name, [&] {
        const std::string full_name = api::full_name_of(name);
        auto plan = api::plan_array(full_name, spec, options.sharing);
        if (data && data->size() != plan.data_bytes) {
            throw Invalid("data has " + std::to_string(data->size()) + " bytes, the spec " +
                          std::to_string(plan.data_bytes));
        }
        api::require_attrs(options.attrs_json);
        if (!options.sharing.persistent) api::require_sharable();

        // nullopt: the last holder let go between our look and our row, or the name got other
        // memory before our write; look again.
        const auto adopt = [&](api::Found& current) -> std::optional<Array> {
            require_array(current);
            require_spec("create", name, spec, spec_of(current.description), true, true, true);
            auto segment =
                Segment::attach(std::move(current.fd), current.id, current.description, true);
            if (!segment || !api::is_live(*segment)) return std::nullopt;
            Array array(std::make_shared<Impl>(std::move(segment), name, true, options.spin));
            try {
                if (data) array.assign_bytes(*data);
            } catch (const Error& error) {
                if (error.code() != Errc::replaced) throw;
                return std::nullopt;
            }
            return array;
        };
        // A look before the work: the usual refusals cost no memory.
        if (options.existing != Existing::replace) {
            if (auto current = api::find(full_name)) {
                if (options.existing == Existing::error) throw existing_error(name, *current);
                if (auto adopted = adopt(*current)) return std::move(*adopted);
            }
        }

        api::Build build(std::move(plan), options.sharing, data, options.attrs_json);
        api::NameChange change(full_name);
        std::optional<api::Found> current;
        try {
            current = change.find();
        } catch (const CorruptBytes&) {
            if (options.existing != Existing::replace) throw;
        }
        if (current && options.existing == Existing::error) throw existing_error(name, *current);
        if (current && options.existing == Existing::adopt) {
            // Nobody lets go of the name while we hold its lock.
            if (auto adopted = adopt(*current)) return std::move(*adopted);
        }
        const std::uint64_t generation =
            std::max(api::first_generation(),
                     current ? current->description.fields.generation + 1 : std::uint64_t{0});
        auto segment = build.finish(generation);
        Array array(std::make_shared<Impl>(segment, name, true, options.spin));
        if (data) array.impl_->saw(1);
        if (current) api::mark_replacing(*current);
        change.publish(segment->fd(), options.sharing.persistent);
        if (!options.sharing.persistent) segment->set_named();
        if (current) api::set_state(*current, layout::kReplaced);
        return array;
    });
}

Array Array::open(std::string_view given, const OpenOptions& options) {
    const std::string name(given);
    return in_operation("open", name, [&] {
        const std::string full_name =
            options.full_name.empty() ? api::full_name_of(name) : options.full_name;
        const platform::Deadline deadline(options.timeout.count());
        // Also for timeout 0: a change of the name under way takes microseconds.
        const platform::Deadline patient(std::max(options.timeout.count(), kOpenLockNs));
        std::optional<platform::FolderWatch> watch;
        for (;;) {
            auto found = api::find(full_name, patient);
            if (found) {
                require_array(*found);
                const Spec spec = spec_of(found->description);
                if (options.expect) {
                    require_spec("open", name, *options.expect, spec, options.expect_shape,
                                 options.expect_dtype, false);
                }
                auto segment = Segment::attach(std::move(found->fd), found->id, found->description,
                                               options.writeable);
                if (segment) segment->require_attached();
                // Not live: the last holder let go between our look and our row.
                if (segment && api::is_live(*segment)) {
                    if (found->searched) api::take_name(*segment);
                    return Array(std::make_shared<Impl>(std::move(segment), name, options.writeable,
                                                        options.spin));
                }
            }
            if (deadline.passed()) {
                api::require_proc();  // else it may be there and not to be seen
                throw Error(Errc::not_found, "open", name,
                            options.timeout.count() > 0
                                ? "nothing had this name in all that time; is it spelt as the "
                                  "creator spells it (`ndshare ls`), and is the creator running?"
                                : "nothing has this name: never created, or its last holder has "
                                  "closed it; create it first, wait for it with timeout=, or see "
                                  "`ndshare ls` for what there is");
            }
            if (!watch) {
                // Made before another look, so that a name that appears in between is seen.
                watch.emplace();
                api::watch_names(*watch);
                continue;
            }
            watch->wait(std::min(deadline.left_ns(), kOpenSliceNs));
            api::check_interrupt();
        }
    });
}

}  // namespace ndshare

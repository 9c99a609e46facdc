#include "registry.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "convert.h"

namespace ndshare::python {
namespace {

nb::dict to_dict(const Info& info) {
    nb::dict out;
    out["name"] = info.name;
    constexpr const char* kinds[] = {"array", "stream", "service"};
    out["kind"] = kinds[static_cast<int>(info.kind)];
    out["spec"] = from_fields(info.specs, info.is_object);
    nb::list ends;
    for (const Info::End& end : info.ends) {
        nb::dict one;
        one["kind"] = end.kind;
        one["pid"] = end.pid;
        one["count"] = end.count;
        one["lag"] = end.lag;
        one["pinned"] = end.pinned;
        ends.append(one);
    }
    out["ends"] = ends;
    const auto to_seconds = [](std::uint64_t ns) { return static_cast<double>(ns) * 1e-9; };
    nb::list workers;
    for (const Info::Worker& worker : info.workers) {
        nb::dict one;
        one["pid"] = worker.pid;
        one["state"] = worker.is_busy ? "busy" : "idle";
        one["slot"] = worker.slot;
        one["busy_s"] = to_seconds(worker.busy_ns);
        one["progress_s"] = to_seconds(worker.progress_ns);
        one["taken"] = worker.taken;
        one["answered"] = worker.answered;
        one["failed"] = worker.failed;
        one["batches"] = worker.batches;
        one["gathered"] = worker.gathered;
        one["mean_s"] = to_seconds(worker.mean_ns);
        one["p99_s"] = to_seconds(worker.p99_ns);
        workers.append(one);
    }
    out["workers"] = workers;
    out["nbytes"] = info.nbytes;
    out["footprint_bytes"] = info.footprint_bytes;
    out["generation"] = info.generation;
    out["persistent"] = info.persistent;
    out["path"] = info.path;
    out["attrs_json"] = info.attrs_json;
    out["holders"] = info.holders;
    out["counters"] = info.counters;
    return out;
}

}  // namespace

void init_registry(nb::module_& m) {
    m.def(
        "ls",
        [](std::string_view pattern) {
            std::vector<Info> found;
            {
                const WithoutGil released;
                found = ls(pattern);
            }
            nb::list out;
            for (const Info& one : found) out.append(to_dict(one));
            return out;
        },
        nb::arg("pattern"));
    m.def("info", [](std::string_view name) { return to_dict(info(name)); }, nb::arg("name"));
    m.def("unlink", [](std::string_view name) { return unlink(name); }, nb::arg("name"));
    m.def(
        "footprint",
        [](nb::tuple shape, std::string_view dtype) {
            return footprint({.shape = to_shape(shape),
                              .dtype = Dtype(dtype),
                              .order = Order::c,
                              .maxshape = {},
                              .aligned = false});
        },
        nb::arg("shape"), nb::arg("dtype"));
    m.def("places", [] {
        const Places places = where();
        nb::dict out;
        out["names"] = places.names;
        out["files"] = places.files;
        nb::list limits;
        for (const MemoryLimit& limit : places.limits) {
            nb::dict one;
            one["what"] = limit.what;
            one["remedy"] = limit.remedy;
            one["limit_bytes"] = limit.limit_bytes;
            one["free_bytes"] = limit.free_bytes;
            limits.append(one);
        }
        out["limits"] = limits;
        return out;
    });
}

}  // namespace ndshare::python

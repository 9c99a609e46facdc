#include "wait.h"

#include <vector>

#include "array.h"
#include "convert.h"
#include "ndshare/ndshare.hpp"
#include "service.h"
#include "stream.h"

namespace ndshare::python {
namespace {

nb::list wait_several(nb::sequence objects, nb::object timeout) {
    std::vector<Waitable> things;
    std::vector<nb::object> owners;
    for (const nb::handle object : objects) {
        auto thing = waitable_array(object);
        if (!thing) thing = waitable_subscriber(object);
        if (!thing) thing = waitable_call(object);
        if (!thing) throw nb::type_error("[wait] wait() takes arrays, subscribers and calls");
        owners.push_back(nb::borrow(object));
        things.push_back(*thing);
    }
    ndshare::wait(things, to_timeout(timeout, "wait", "several"));
    nb::list ready;
    for (std::size_t k = 0; k < things.size(); ++k) {
        if (things[k].ready()) ready.append(owners[k]);
    }
    return ready;
}

}  // namespace

void init_wait(nb::module_& m) {
    m.def("wait", &wait_several, nb::arg("objects"), nb::arg("timeout").none());
}

}  // namespace ndshare::python

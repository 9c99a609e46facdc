#include "wait.h"

#include <string>
#include <vector>

#include "array.h"
#include "convert.h"
#include "ndshare/ndshare.hpp"
#include "service.h"
#include "stream.h"

namespace ndshare::python {
namespace {

constexpr const char* kTakes = "[wait] wait() takes a list of arrays, subscribers and calls";

nb::list wait_several(nb::object objects, nb::object timeout) {
    // An array is a sequence as well, of its elements.
    const bool is_one =
        waitable_array(objects) || waitable_subscriber(objects) || waitable_call(objects);
    if (is_one || PySequence_Check(objects.ptr()) == 0) {
        throw nb::type_error((std::string(kTakes) + ": ndshare.wait([one, other])").c_str());
    }
    std::vector<Waitable> things;
    std::vector<nb::object> owners;
    for (const nb::handle object : nb::borrow<nb::sequence>(objects)) {
        auto thing = waitable_array(object);
        if (!thing) thing = waitable_subscriber(object);
        if (!thing) thing = waitable_call(object);
        if (!thing) throw nb::type_error(kTakes);
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
    m.def("wait", &wait_several, nb::arg("objects").none(), nb::arg("timeout").none());
}

}  // namespace ndshare::python

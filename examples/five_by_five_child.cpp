// The child of five_by_five_cpp.py: a C++ program that knows only the name of an array. It opens
// the parent's memory and sets one element; dtype and number of dimensions are checked, not
// assumed.
#include <ndshare/ndshare.hpp>

#include <iostream>

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: five_by_five_child NAME\n";
        return 2;
    }
    try {
        auto array = ndshare::Array::open(argv[1], {.writeable = true});
        auto writing = array.write();
        writing->view<double, 2>()(0, 0) = 1;
        writing->commit();
    } catch (const ndshare::Error& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
    return 0;
}

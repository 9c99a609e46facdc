// fuzz/targets.h: the doors through which another process's bytes come in, each as one function
// from an input to what went wrong.
//
//   validate  a segment's own description, and a dtype's text
//   attach    a file with damaged bytes is opened as array, stream, service; replaced, unlinked
//   take      a stream's memory is damaged under its publisher and its subscribers
//   serve     a service's memory is damaged under its worker and its client
//
// attach, take and serve use the library as a user does, in this process: what it was given must
// end as an Error, or be within what was promised. Threads: one.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace ndshare::fuzz {

// Each: empty when all is well, else what went wrong.
std::string check_validate(std::string_view input);
std::string check_attach(std::string_view input);
std::string check_take(std::string_view input);
std::string check_serve(std::string_view input);

// Inputs that lead deep, by hand: what a corpus begins with.
std::vector<std::string> attach_seeds();
std::vector<std::string> take_seeds();
std::vector<std::string> serve_seeds();

}  // namespace ndshare::fuzz

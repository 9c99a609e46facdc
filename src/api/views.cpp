#include "api/views.h"

#include "ndshare/error.hpp"

namespace ndshare::api {

void require_view(const char* operation, std::string_view name, const Spec& spec,
                  const Dtype& dtype, std::size_t rank) {
    if (rank == spec.shape.size() && dtype == spec.dtype) return;
    throw Error(Errc::spec_mismatch, operation, std::string(name),
                "asked for " + std::to_string(rank) + " dimensions of dtype " + dtype.str() +
                    ", it has " + to_string(spec));
}

}  // namespace ndshare::api

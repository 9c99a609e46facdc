// Frame::dlpack: the DLPack exchange structure (https://dmlc.github.io/dlpack, version 1.0), drawn
// here so that the library needs no header of it.
#include "api/frame.h"
#include "api/operation.h"
#include "base/check.h"

// NOLINTBEGIN(readability-identifier-naming): names and layout are DLPack's.
struct DLManagedTensorVersioned {
    struct {
        std::uint32_t major, minor;
    } version;
    void* manager_ctx;
    void (*deleter)(DLManagedTensorVersioned* self);
    std::uint64_t flags;
    struct {
        void* data;
        struct {
            std::int32_t device_type, device_id;
        } device;
        std::int32_t ndim;
        struct {
            std::uint8_t code, bits;
            std::uint16_t lanes;
        } dtype;
        std::int64_t* shape;
        std::int64_t* strides;
        std::uint64_t byte_offset;
    } dl_tensor;
};
// NOLINTEND(readability-identifier-naming)

namespace ndshare {
namespace {

constexpr std::uint64_t kReadOnly = 1;
constexpr std::int32_t kCpu = 1;
enum : std::uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kComplex = 5, kBool = 6 };

struct Export {
    DLManagedTensorVersioned tensor{};
    std::shared_ptr<const std::byte> memory;
    std::vector<std::int64_t> shape, strides;
};

std::uint8_t code_of(const std::string& dtype, std::uint64_t itemsize) {
    if (dtype == "bfloat16") return kBfloat;
    const bool native = dtype.size() >= 3 && (dtype[0] == '<' || dtype[0] == '|');
    switch (native && itemsize <= 16 ? dtype[1] : '?') {
        case 'i':
            return kInt;
        case 'u':
            return kUInt;
        case 'f':
            return kFloat;
        case 'c':
            return kComplex;
        case 'b':
            return kBool;
        default:
            throw Invalid("DLPack has no dtype " + dtype);
    }
}

}  // namespace

DLManagedTensorVersioned* Frame::dlpack(std::string_view name_of_field) const {
    return api::in_operation("dlpack", name(), [&] {
        const std::size_t index = field_index(name_of_field);
        const FieldView view = field(index);
        const auto& plan = (*impl_->plan)[index];
        auto made = std::make_unique<Export>();
        made->memory = memory(index);
        made->shape.assign(view.shape.begin(), view.shape.end());
        made->strides.resize(made->shape.size());
        std::int64_t step = 1;
        for (std::size_t k = 0; k < made->shape.size(); ++k) {
            const std::size_t axis = plan.fortran ? k : made->shape.size() - 1 - k;
            made->strides[axis] = step;
            step *= made->shape[axis];
        }
        auto& tensor = made->tensor;
        tensor.version = {1, 0};
        tensor.flags = kReadOnly;
        tensor.manager_ctx = made.get();
        tensor.deleter = [](DLManagedTensorVersioned* self) {
            delete static_cast<Export*>(self->manager_ctx);
        };
        tensor.dl_tensor.data = const_cast<std::byte*>(view.data);
        tensor.dl_tensor.device = {kCpu, 0};
        tensor.dl_tensor.ndim = static_cast<std::int32_t>(made->shape.size());
        tensor.dl_tensor.dtype = {code_of(plan.dtype, plan.itemsize),
                                  static_cast<std::uint8_t>(plan.itemsize * 8), 1};
        tensor.dl_tensor.shape = made->shape.data();
        tensor.dl_tensor.strides = made->strides.data();
        return &made.release()->tensor;
    });
}

}  // namespace ndshare

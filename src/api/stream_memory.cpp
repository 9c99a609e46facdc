#include "api/stream_memory.h"

#include <bit>

#include "api/book.h"
#include "base/check.h"
#include "layout/dtype.h"

namespace ndshare::api {
namespace {

Spec to_spec(const layout::Field& field) {
    Spec spec{.shape = {},
              .dtype = Dtype(std::string_view(field.dtype)),
              .order = field.fortran ? Order::fortran : Order::c,
              .maxshape = {},
              .aligned = field.aligned};
    (field.variable ? spec.maxshape : spec.shape) = field.shape;
    return spec;
}

}  // namespace

layout::Field to_field(const std::string& name, const Spec& spec) {
    if (!spec.shape.empty() && !spec.maxshape.empty()) {
        throw Invalid("give shape or maxshape, not both");
    }
    layout::Field field;
    field.name = name;
    field.dtype = spec.dtype.str();
    field.variable = !spec.maxshape.empty();
    field.shape = field.variable ? spec.maxshape : spec.shape;
    field.fortran = spec.order == Order::fortran;
    field.aligned = spec.aligned;
    return field;
}

Fields to_fields(const std::vector<layout::Field>& fields) {
    Fields out;
    for (const auto& field : fields) out.emplace_back(field.name, to_spec(field));
    return out;
}

bool has_fields(const PublisherOptions& options) {
    return !options.shape.empty() || !options.dtype.str().empty() || !options.maxshape.empty() ||
           !options.fields.empty() || options.object_bytes_max != 0;
}

layout::SlotPlan to_slot_plan(const PublisherOptions& options) {
    const bool one = !options.shape.empty() || !options.dtype.str().empty();
    const int ways = (one || !options.maxshape.empty() ? 1 : 0) + (options.fields.empty() ? 0 : 1) +
                     (options.object_bytes_max == 0 ? 0 : 1);
    if (ways != 1) {
        throw Invalid("give exactly one of shape, maxshape, fields and the size of objects");
    }
    std::vector<layout::Field> fields;
    if (options.object_bytes_max != 0) {
        if (options.object_bytes_max > (std::uint64_t{1} << 60)) {
            throw Invalid("objects of that size cannot be");
        }
        layout::Field field;
        field.dtype = "|u1";
        field.shape = {static_cast<std::int64_t>(options.object_bytes_max)};
        field.variable = field.object = true;
        fields.push_back(std::move(field));
    } else if (options.fields.empty()) {
        fields.push_back(to_field(
            "", {.shape = options.shape,
                 .dtype = options.dtype.str().empty() ? Dtype::of<double>() : options.dtype,
                 .order = Order::c,
                 .maxshape = options.maxshape}));
    } else {
        for (const auto& [name, spec] : options.fields) fields.push_back(to_field(name, spec));
    }
    return layout::plan_slot(std::move(fields));
}

std::string fields_to_string(const Fields& fields) {
    if (fields.size() == 1 && fields.front().first.empty()) return to_string(fields.front().second);
    std::string text;
    for (const auto& [name, spec] : fields) {
        text += (text.empty() ? "" : "; ") + name + ": " + to_string(spec);
    }
    return text;
}

void require_frame_attrs(std::string_view text) {
    if (text.size() > layout::kFrameAttrsBytes) {
        throw Invalid("a frame's attrs take " + std::to_string(text.size()) +
                      " bytes as JSON, at most " + std::to_string(layout::kFrameAttrsBytes) +
                      " fit; put large values into a field, lasting ones into the stream's "
                      "attrs");
    }
    if (!text.empty() && (text.front() != '{' || text.back() != '}')) {
        throw Invalid("attrs must be a JSON object");
    }
}

std::size_t index_of(const Fields& fields, std::string_view name) {
    if (name.empty() && fields.size() == 1) return 0;
    std::string known;
    for (std::size_t k = 0; k < fields.size(); ++k) {
        if (fields[k].first == name) return k;
        known += (known.empty() ? "" : ", ") + fields[k].first;
    }
    if (name.empty()) throw Invalid("it has several fields (" + known + "); name one");
    if (fields.size() == 1 && known.empty()) {
        throw Invalid("it has no fields with names, and \"" + std::string(name) +
                      "\" was asked for");
    }
    throw Invalid("it has no field \"" + std::string(name) + "\"; its fields are " + known);
}

StreamMemory::StreamMemory(std::shared_ptr<Segment> held, bool writeable)
    : segment(std::move(held)),
      plan(layout::plan_slot_of(segment->description().dtype)),
      fields(to_fields(plan.fields)),
      control(segment->control().base(), segment->description().fields.slot_count),
      pool(segment->data(writeable)) {}

std::shared_ptr<StreamMemory> attach_stream(Found&& found, bool writeable) {
    if (!found.description.is_stream()) {
        throw Invalid(
            found.description.is_service()
                ? "the name leads to a service, not a stream; choose another name"
                : "the name leads to an array, not a stream; open it with ndshare.open, or "
                  "choose another name");
    }
    const bool searched = found.searched;
    auto segment =
        Segment::attach(std::move(found.fd), found.id, std::move(found.description), writeable);
    if (!segment) return nullptr;
    segment->require_attached();
    if (!is_live(*segment)) return nullptr;
    if (searched) take_name(*segment);
    return std::make_shared<StreamMemory>(std::move(segment), writeable);
}

// ---- ends ---------------------------------------------------------------------------------------

EndLease::EndLease(std::shared_ptr<const StreamMemory> memory, std::uint32_t kind,
                   std::shared_ptr<const std::string> stream_name)
    : memory_(std::move(memory)),
      name_(std::move(stream_name)),
      is_of_refs_(kind == layout::kEndRefs),
      kind_(kind) {
    Segment& segment = *memory_->segment;
    segment.require_attached();
    owner_ = segment.owner();
    index_ = memory_->ends().take(owner_, kind);
    segment.add_fork_part(this);
}

EndLease::~EndLease() {
    memory_->segment->remove_fork_part(this);
    if (is_here() && !memory_->segment->is_lost()) memory_->ends().let_go(index_, owner_);
}

void EndLease::set_kind(std::uint32_t kind) {
    kind_ = kind;
    // SYNC(cursor)
    sync::Atomics::store_seq_cst(words().kind, kind);
}

void EndLease::wake_up(std::uint64_t cursor) {
    dormant_ = false;
    // As a newcomer: first it holds everything back, then it says from where on.
    const std::uint32_t kind = kind_ == layout::kEndJoining ? layout::kEndInOrder : kind_;
    set_kind(layout::kEndJoining);
    memory_->ends().announce();
    set_cursor(cursor);
    set_kind(kind);
    memory_->ends().tell_room();
}

void EndLease::unpin(std::size_t slot) noexcept {
    if (!is_here() || memory_->segment->is_lost()) return;
    std::unique_lock<ForkMutex> lock;
    if (is_of_refs_) {
        lock = std::unique_lock(refs_mutex_);
        if (--refs_[slot].count > 0) return;
        refs_.erase(slot);
    }
    memory_->ring().unpin(index_, slot);
}

Ring::Exact EndLease::take_exactly(std::uint64_t seq, Ring::Place& place) {
    const std::lock_guard lock(refs_mutex_);
    Ring ring = memory_->ring();
    std::size_t slot = 0;
    if (ring.where(seq, slot) && refs_.contains(slot)) {
        // Pinned already, perhaps for another frame: the bit must not be touched. The slot's word
        // is not asked: a claimer may have made it BUSY, until it sees the pin or dies.
        if (refs_[slot].seq != seq) return Ring::Exact::gone;
        place = {slot, seq};
        ++refs_[slot].count;
        return Ring::Exact::frame;
    }
    if (const auto exact = ring.take_exactly(index_, seq, place); exact != Ring::Exact::frame) {
        return exact;
    }
    try {
        refs_[place.slot] = {seq, 1};
    } catch (...) {  // no memory
        ring.unpin(index_, place.slot);
        throw;
    }
    return Ring::Exact::frame;
}

std::size_t EndLease::pin_count() const {
    std::size_t count = 0;
    for (std::size_t word = 0; word < memory_->control.pin_words(); ++word) {
        // Relaxed: our own bits; another thread's may be a moment older. Few are set: a loop over
        // them is shorter than a call of what counts bits where the CPU's instruction is not known.
        for (std::uint64_t bits = sync::Atomics::load_relaxed(words().pins[word]); bits != 0;
             bits &= bits - 1) {
            ++count;
        }
    }
    return count;
}

bool EndLease::prepare_fork(std::uint64_t child_owner) noexcept {
    child_owner_ = 0;
    if (kind_ == layout::kEndPublisher || !is_here()) return true;
    try {
        child_index_ = memory_->ends().take_with_pins_of(index_, child_owner);
        child_owner_ = child_owner;
        return true;
    } catch (...) {
        return false;  // no end is left: the child cannot have this memory
    }
}

void EndLease::finish_fork_in_child() noexcept {
    if (child_owner_ == 0) return;
    index_ = child_index_;
    owner_ = child_owner_;
    child_owner_ = 0;
    dormant_ = !is_of_refs_ && kind_ != layout::kEndIdle;
    if (!is_of_refs_) return;
    set_kind(kind_);
    memory_->ends().announce();  // SYNC(joins): from here it may pin any frame
}

}  // namespace ndshare::api

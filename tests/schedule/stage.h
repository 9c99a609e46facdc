// schedule/stage.h: a few chosen moments of a run, while the rest of it is left to the seed: for
// what hardly any seed of its own leads to.
// Threads: one.
#pragma once
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "schedule/world.h"

namespace ndshare::schedule {

class Stage {
 public:
    explicit Stage(World& world) : world_(world), scenes_(std::make_shared<Scenes>()) {
        world.after_each_step([&world, scenes = scenes_] { play(world, *scenes); });
    }
    // After the row's process touched the word and when() is true: act(), once in a run.
    void once(std::size_t row, const void* word, std::function<bool()> when,
              std::function<void()> act) {
        scenes_->push_back({row, word, std::move(when), std::move(act)});
    }
    // The same, to stand still until something is so. It passes nothing on: whoever stood still
    // knows no more of the others' stores than before.
    void hold(std::size_t row, const void* word, std::function<bool()> when,
              std::function<bool()> until) {
        once(row, word, std::move(when), [&world = world_, until = std::move(until)] {
            while (!until()) world.pause();
        });
    }

 private:
    struct Scene {
        std::size_t row;
        const void* word;
        std::function<bool()> when;
        std::function<void()> act;
        bool is_over = false;
    };
    using Scenes = std::vector<Scene>;

    static void play(World& world, Scenes& scenes) {
        const void* word = world.last_word();
        const std::size_t row = world.current().row;
        for (Scene& scene : scenes) {
            if (scene.is_over || scene.row != row || scene.word != word || !scene.when()) continue;
            scene.is_over = true;
            scene.act();
        }
    }

    World& world_;
    std::shared_ptr<Scenes> scenes_;
};

}  // namespace ndshare::schedule

// soak/survivor.h: who is never killed: does everything now and then, and each time in bounded
// time; holds the names while others die; at the end finds every slot and row back.
// Threads: one. Processes: its own.
#pragma once
#include "ledger.h"
#include "life.h"

namespace ndshare::soak {

// Until the ledger says that it is alone and all is checked. Says in the ledger what is wrong.
// ready: called when the names are there.
void survive(Life& life, Ledger& ledger, void (*ready)(int), int ready_argument);

}  // namespace ndshare::soak

// soak/auditor.h: looks at the raw words of every segment while everybody works and dies, and
// knows what can never be there, whoever was killed where.
// Each check is safe against what goes on: it says something about one word, about a word that
// only grows, or about words between two looks at one that has not changed.
// Threads: one. Processes: its own.
#pragma once
#include "ledger.h"
#include "life.h"

namespace ndshare::soak {

// Until the survivor is at rest, and then once more. Says in the ledger what is wrong.
void audit(Life& life, Ledger& ledger);

}  // namespace ndshare::soak

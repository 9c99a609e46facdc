/* One name and all who change it: src/api/book.cpp and src/api/name_change.cpp, a step for each
 * system call or store that another process can see. Everybody may be killed before each step.
 *
 *   link   the book's: whose descriptor of which memory; stale when he is dead or has let go
 *   file   the root's, of a persistent memory
 *   state  of each memory, as layout/control.h has it
 *
 * Two makers (the second may be a persistent one), an opener, one who unlinks; each lets go at the
 * end as pass_name_on() does. Memories are numbered as they are made: their generation.
 *
 * Promises:
 *   owned   who makes a name without replacing takes it from nobody who is alive and has it
 *   newest  whoever opens gets no older memory than what had the name, whole and living, before
 *   kept    a memory that somebody living has and nobody unlinked or replaced is found
 *
 * -DNO_LOCK       without the byte of .lock: must be caught (owned)
 * -DREPLACES      the second maker replaces; -DPERSISTENT: with a file
 * -DUNLINKER      somebody unlinks
 * -DKILLS=n       how many are killed
 * -DNO_DOOR       who lets go says "unlinked" before it looks for others, and "live" again if it
 *                 finds one: with a kill it must be caught (owned, kept)
 */
#ifndef KILLS
#define KILLS 0
#endif
#define PROCESSES 4
#define MEMORIES 3
#define NONE 7

mtype = { building, live, replacing, replaced, unlinked };
mtype state[MEMORIES] = building;
bool alive[PROCESSES] = true;
byte has[PROCESSES] = NONE;      /* with a row: it counts as a holder */
byte fd[PROCESSES] = NONE;       /* an open descriptor, perhaps without a row yet */
bool sure[PROCESSES];            /* create() or open() came back */
byte link_of = NONE, link_to = NONE, file = NONE;
byte lock_of = NONE;
byte door = NONE;                /* whose rows the holder of the lock has shut */
byte made = 0, kills = 0;
/* What a reader of this model knows, and nobody in it: who had the name last, and is to have it. */
byte owner = NONE;

inline die(me) {
    alive[me] = false; has[me] = NONE; fd[me] = NONE; sure[me] = false; kills++;
    if :: lock_of == me -> lock_of = NONE; door = NONE :: else fi
}
/* A step: atomic, and death may come before it. */
#define STEP(me) if :: kills < KILLS -> die(me); goto dead :: true :: kills >= KILLS fi
#define NAMED(m) (state[m] == live || state[m] == replacing)
#define LEADS (link_of != NONE && alive[link_of] && NAMED(link_to) && \
               (has[link_of] == link_to || fd[link_of] == link_to))
#define HELD(m) (has[0] == m || has[1] == m || has[2] == m || has[3] == m)
#define SURE(m) ((sure[0] && has[0] == m) || (sure[1] && has[1] == m) || \
                 (sure[2] && has[2] == m) || (sure[3] && has[3] == m))
#define FILE_LIVES (file != NONE && NAMED(file))

#ifdef NO_LOCK
#define LOCK(me) atomic { STEP(me) }
#define UNLOCK(me) door = NONE
#else
#define LOCK(me) atomic { lock_of == NONE -> lock_of = me; STEP(me) }
#define UNLOCK(me) atomic { if :: lock_of == me -> lock_of = NONE; door = NONE :: else fi }
#endif

/* search_processes(): the newest living memory that anybody has open. */
inline search(found, by) {
    found = NONE; by = NONE; i = 0;
    do
    :: i == PROCESSES -> break
    :: else ->
        if
        :: alive[i] && fd[i] != NONE && NAMED(fd[i]) &&
           (found == NONE || fd[i] > found) -> found = fd[i]; by = i
        :: else
        fi;
        i++
    od
}

/* NameChange::search(): the newest has the name, and what it replaced is told. */
inline search_and_lead(me, found) {
    atomic { STEP(me); search(found, by) }
    i = 0;
    do
    :: i == PROCESSES -> break
    :: else ->
        atomic {
            STEP(me);
            if
            :: alive[i] && fd[i] != NONE && fd[i] != found && state[fd[i]] == replacing ->
                state[fd[i]] = replaced
            :: else
            fi
        }
        i++
    od;
    if
    :: found != NONE ->
        atomic { STEP(me); state[found] = live }
        atomic { STEP(me); link_of = by; link_to = found; owner = found }
    :: else -> atomic { STEP(me); link_of = NONE; link_to = NONE }
    fi
}

/* NameChange::find(), with settle(): whoever marked it is dead, since the lock is ours. */
inline find_locked(me, found) {
    atomic {
        STEP(me);
        if
        :: LEADS -> found = link_to
        :: !LEADS && FILE_LIVES -> found = file
        :: else -> found = NONE
        fi
    }
    if
    :: found == NONE && link_of != NONE -> search_and_lead(me, found)
    :: found == NONE && link_of == NONE -> skip
    :: found != NONE && state[found] == replacing && found != file ->
        if
        :: FILE_LIVES && file > found ->
            atomic { STEP(me); state[found] = replaced; owner = file }
            atomic { STEP(me); link_of = NONE; link_to = NONE }
            found = file;
            atomic { STEP(me); state[found] = live }
        :: else -> atomic { STEP(me); state[found] = live }
        fi
    :: found != NONE && state[found] == replacing && found == file && link_of != NONE ->
        atomic { STEP(me); search(found, by) }
        if
        :: found != NONE && found > file ->
            atomic { STEP(me); state[file] = replaced }
            atomic { STEP(me); file = NONE }
            search_and_lead(me, found)
        :: else ->
            atomic { STEP(me); link_of = NONE; link_to = NONE }
            found = file;
            atomic { STEP(me); state[found] = live; owner = found }
        fi
    :: found != NONE && state[found] == replacing && found == file && link_of == NONE ->
        atomic { STEP(me); state[found] = live }
    :: else
    fi
}

inline another(me) {
    by = NONE; i = 0;
    do
    :: i == PROCESSES -> break
    :: else -> if :: i != me && has[i] == has[me] -> by = i :: else fi; i++
    od
}

/* pass_name_on(), at the end of the last handle; then the row goes. */
inline let_go(me) {
    sure[me] = false;
    LOCK(me);
    if :: state[has[me]] == replacing -> find_locked(me, found) :: else fi;
    atomic { STEP(me); stale = (link_of == me && link_to == has[me]) }
    if
    :: stale ->
        atomic { STEP(me); another(me) }
#ifdef NO_DOOR
        if
        :: by == NONE ->
            atomic { STEP(me); state[has[me]] = unlinked }
            atomic { STEP(me); another(me) }
            if
            :: by != NONE -> atomic { STEP(me); state[has[me]] = live }
            :: else
            fi
        :: else
        fi;
#else
        if
        :: by == NONE -> atomic { STEP(me); another(me); if :: by == NONE -> door = has[me] :: else fi }
        :: else
        fi;
#endif
        if
        :: by != NONE -> atomic { STEP(me); link_of = by; link_to = has[me] }
        :: else ->
            atomic { STEP(me); state[has[me]] = unlinked; if :: owner == has[me] -> owner = NONE :: else fi }
            atomic { STEP(me); if :: file != NONE && state[file] != live -> file = NONE :: else fi }
            atomic { STEP(me); link_of = NONE; link_to = NONE }
        fi
    :: else
    fi;
    atomic { has[me] = NONE; fd[me] = NONE }
    UNLOCK(me)
}

/* Array::create(): replace takes the name whoever has it; else only a free one. */
proctype maker(byte me; bool replace; bool persistent) {
    byte found = NONE, by = NONE, i, mine = NONE;
    bool stale;
    LOCK(me);
    find_locked(me, found);
    if
    :: found != NONE && !replace -> goto refused
    :: else
    fi;
    atomic {
        STEP(me);
        if :: made == MEMORIES -> goto refused :: else fi;
        mine = made; made++; state[mine] = live; has[me] = mine; fd[me] = mine
    }
    if
    :: found != NONE -> atomic { STEP(me); state[found] = replacing }
    :: else
    fi;
    if
    :: !persistent ->
        atomic {
            STEP(me);
            assert(replace || owner == NONE || !SURE(owner)); /* owned */
            link_of = me; link_to = mine; owner = mine
        }
        atomic { STEP(me); file = NONE }
    :: else ->
        atomic { STEP(me); file = mine; if :: !LEADS -> owner = mine :: else fi }
        atomic {
            STEP(me);
            assert(replace || owner == NONE || owner == mine || !SURE(owner)); /* owned */
            link_of = NONE; link_to = NONE; owner = mine
        }
    fi;
    if
    :: found != NONE -> atomic { STEP(me); state[found] = replaced }
    :: else
    fi;
    atomic { STEP(me); sure[me] = true }
    UNLOCK(me);
    if :: !persistent -> let_go(me) :: else -> atomic { sure[me] = false; has[me] = NONE; fd[me] = NONE } fi;
    goto dead;
refused:
    UNLOCK(me);
dead:
    skip
}

/* Array::open(): no lock, unless the link is stale; then the row, then the state. */
proctype opener(byte me) {
    byte found = NONE, by = NONE, i, least = NONE, rounds = 0;
    bool stale, doubt;
again:
    atomic {
        STEP(me);
        doubt = false;
        /* What is whole, has the name, and somebody has who will not go without a word. */
        least = owner;
        if :: owner != NONE && !SURE(owner) && owner != file -> least = NONE :: else fi;
        if
        :: LEADS -> found = link_to; stale = false
        :: !LEADS && FILE_LIVES ->
            found = file; stale = (state[file] == replacing && link_of != NONE)
        :: else -> found = NONE; stale = (link_of != NONE)
        fi;
        if
        :: found != NONE -> fd[me] = found; doubt = (state[found] == replacing)
        :: else
        fi
    }
    /* Without waiting for somebody who is at it. */
    if
    :: doubt && !stale ->
        if
        :: atomic { lock_of == NONE -> stale = true }
        :: lock_of != NONE
        fi
    :: else
    fi;
    if
    :: stale ->
        LOCK(me);
        find_locked(me, found);
        if :: found != NONE -> atomic { STEP(me); fd[me] = found } :: else fi;
        UNLOCK(me)
    :: else
    fi;
    if
    :: found == NONE ->
        atomic {
            assert(least == NONE || owner != least || !SURE(least)); /* kept */
            goto dead
        }
    :: else
    fi;
    atomic {
        STEP(me);
        if :: door == found && found != NONE -> fd[me] = NONE :: else -> has[me] = found fi
    }
    atomic {
        STEP(me);
        if
        :: has[me] == found && NAMED(found) ->
            assert(least == NONE || found >= least || owner != least); /* newest */
            sure[me] = true
        :: else -> has[me] = NONE; fd[me] = NONE
        fi
    }
    if
    :: !sure[me] && alive[me] && rounds < 2 -> rounds++; goto again
    :: !sure[me] -> goto dead
    :: else
    fi;
    let_go(me);
dead:
    skip
}

proctype unlinker(byte me) {
    byte found = NONE, by = NONE, i;
    bool stale;
    LOCK(me);
    find_locked(me, found);
    if
    :: found != NONE ->
        atomic { STEP(me); state[found] = unlinked; if :: owner == found -> owner = NONE :: else fi }
    :: else
    fi;
    atomic { STEP(me); if :: owner == file -> owner = NONE :: else fi; file = NONE }
    atomic { STEP(me); link_of = NONE; link_to = NONE }
    UNLOCK(me);
dead:
    skip
}

init {
    atomic {
        run maker(0, false, false);
#ifdef PERSISTENT
        run maker(1, true, true);
#elif defined(REPLACES)
        run maker(1, true, false);
#else
        run maker(1, false, false);
#endif
        run opener(2);
#ifdef UNLINKER
        run unlinker(3)
#else
        run opener(3)
#endif
    }
}

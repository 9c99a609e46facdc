"""What several contestants need of the peers: names of their own, and no output of theirs."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pair import Side


class Pace:
    """For a peer that overwrites or drops what is not fetched in time: the receiver says in
    Side.shared how far it is, and the sender stays less than `window` ahead."""

    def __init__(self, side: Side, window: int) -> None:
        self._shared = side.shared
        self._window = window
        self._sent = 0
        self._received = 0
        self._allowed = window

    def before_send(self) -> None:
        # Most of the time the last look is good enough.
        while self._sent >= self._allowed:
            self._allowed = struct.unpack_from("Q", self._shared)[0] + self._window
        self._sent += 1

    def after_receive(self) -> None:
        self._received += 1
        if self._received % max(1, self._window // 4) == 0:
            struct.pack_into("Q", self._shared, 0, self._received)


# ---- iceoryx2 ------------------------------------------------------------------------------------


@contextmanager
def iceoryx2_node(side: Side) -> Iterator[Any]:
    """Its files have names of this run: what a killed run leaves is found and removed."""
    import iceoryx2

    iceoryx2.set_log_level(iceoryx2.LogLevel.Fatal)
    config = iceoryx2.config.default()
    config.global_cfg.prefix = iceoryx2.FileName.new(side.name("iox2-"))
    config.global_cfg.root_path = iceoryx2.Path.new(os.environ.get("TMPDIR", "/tmp") + "/iceoryx2")
    try:
        # Ctrl-C and the harness end it as every other contestant.
        yield (
            iceoryx2.NodeBuilder.new()
            .config(config)
            .signal_handling_mode(iceoryx2.SignalHandlingMode.Disabled)
            .create(iceoryx2.ServiceType.Ipc)
        )
    finally:
        if side.index == 0:
            for path in Path("/dev/shm").glob(side.name("iox2-*")):
                path.unlink(missing_ok=True)


def iceoryx2_service(node: Any, name: str, nbytes: int, depth: int, subscribers: int = 1) -> Any:
    """Publish and subscribe, one to one or to several; nothing is overwritten."""
    import iceoryx2

    payload_type = type(
        "Payload", (ctypes.Structure,), {"_fields_": [("words", ctypes.c_uint64 * (nbytes // 8))]}
    )
    return (
        node.service_builder(iceoryx2.ServiceName.new(name))
        .publish_subscribe(payload_type)
        .enable_safe_overflow(False)
        .subscriber_max_buffer_size(depth)
        .max_publishers(1)
        .max_subscribers(subscribers)
        .max_nodes(subscribers + 2)
        .open_or_create()
    )


def iceoryx2_publisher(service: Any) -> Any:
    import iceoryx2

    return (
        service.publisher_builder()
        .backpressure_strategy(iceoryx2.BackpressureStrategy.RetryUntilDelivered)
        .create()
    )


def iceoryx2_send(publisher: Any, nbytes: int) -> Callable[[int], object]:
    """send(address): the bytes there are copied into a loaned sample."""

    def send(address: int) -> None:
        sample = publisher.loan_uninit()
        ctypes.memmove(sample.payload_ptr, address, nbytes)
        sample.assume_init().send()

    return send


# ---- kickmsg -------------------------------------------------------------------------------------


@contextmanager
def kickmsg_region(side: Side, name: str, nbytes: int, depth: int) -> Iterator[Any]:
    """A channel of one subscriber; the first side makes it and removes it."""
    import kickmsg

    config = kickmsg.Config()
    config.max_subscribers = 1
    config.sub_ring_capacity = depth
    config.pool_size = 2 * depth
    config.max_payload_size = nbytes
    if side.index == 0:
        region = kickmsg.SharedRegion.create("/" + name, kickmsg.ChannelType.PubSub, config)
        try:
            side.meet()
            yield region
        finally:
            region.unlink()
    else:
        side.meet()
        yield kickmsg.SharedRegion.open("/" + name)


def socket_path(side: Side, word: str) -> Path:
    return Path(os.environ.get("TMPDIR", "/tmp")) / side.name(word)

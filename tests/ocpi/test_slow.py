"""A body that drips is cut off at its deadline, one that comes in time is not."""

import socket
import threading
import time

from ocpi.slow import BodyWatch


def dripping(peer: socket.socket, stop: threading.Event) -> None:
    while not stop.wait(0.05):
        try:
            peer.sendall(b"x")
        except OSError:
            return


def test_a_dripping_body_ends_at_its_deadline() -> None:
    """S8: each byte comes in time, the whole does not."""
    ours, theirs = socket.socketpair()
    stop = threading.Event()
    drip = threading.Thread(target=dripping, args=(theirs, stop))
    drip.start()
    begun = time.monotonic()
    read = 0
    with BodyWatch().reading(ours, seconds=0.5):
        while piece := ours.recv(1024):
            read += len(piece)
    stop.set()
    drip.join()
    assert 0.5 <= time.monotonic() - begun < 5
    assert read < 500
    ours.close()
    theirs.close()


def test_a_body_in_time_leaves_the_connection_open() -> None:
    ours, theirs = socket.socketpair()
    watch = BodyWatch()
    with watch.reading(ours, seconds=0.3):
        theirs.sendall(b"body")
        assert ours.recv(4) == b"body"
    time.sleep(1)
    theirs.sendall(b"next request")
    assert ours.recv(12) == b"next request"
    ours.close()
    theirs.close()

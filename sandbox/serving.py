"""The data plane as the commands see it: started, proved by a download, and stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from sandbox import no_names, samples
from sandbox.certificates import AUTHORITY
from sandbox.dataplane import control, desired
from sandbox.dataplane.network import claim
from sandbox.dataplane.room import Room
from sandbox.home import Sandbox
from sandbox.provider.cloud import Cloud
from sandbox.terminal import Problem, say

CONTENT = "content"


def start(sandbox: Sandbox) -> bool:
    """Start the data plane; return whether it runs. Where it cannot, only the rest is deployed."""
    try:
        control.start(sandbox)
    except Problem as problem:
        stop(sandbox)
        say(
            f"{problem}\nSo the stack is deployed to the control plane only, and nothing is served."
        )
        return False
    sandbox.offer({"CLOUDDP_NAMESERVERS": control.nameserver(sandbox)})
    return True


def stop(sandbox: Sandbox) -> None:
    """Stop the data plane and all that runs in it."""
    control.stop(sandbox)
    sandbox.forget_offer()


@contextlib.contextmanager
def names(sandbox: Sandbox) -> Generator[None]:
    """See to it that there are names: the data plane's, else a server for which all are free."""
    if control.running(sandbox):
        yield
        return
    stop(sandbox)
    with no_names.served() as nameserver:
        sandbox.offer({"CLOUDDP_NAMESERVERS": nameserver})
        try:
            yield
        finally:
            sandbox.forget_offer()


def forget_dead(sandbox: Sandbox) -> None:
    """Let nobody wait for a data plane that was killed."""
    if not control.running(sandbox):
        stop(sandbox)


def prove(sandbox: Sandbox) -> None:
    """Publish the samples to each distribution point, and download one of them.

    Raises:
        Problem: That fails.
    """
    room = Room(sandbox.state)
    cloud = Cloud(room.database)
    points = samples.points(desired.read(cloud, claim(room.state)))
    content = sandbox.state / CONTENT
    samples.make(content)
    nameserver, authority = control.nameserver(sandbox), sandbox.certificates / AUTHORITY
    for number, point in enumerate(points):
        if number == 0:
            sandbox.offer(
                {
                    "CLOUDDP_CONNECT": point.connect,
                    "CLOUDDP_CA": str(authority),
                    "CLOUDDP_CONTENT": str(content),
                }
            )
        if not point.publisher:
            say(f"{point.fqdn} has no contentPublishers, so nothing is published to it.")
            continue
        uploaded = samples.publish(
            content,
            point,
            nameserver=nameserver,
            authority=room.authority,
            key=room.token_key.read_text(),
        )
        if uploaded:
            say(f"Published {uploaded} files of {content} to {point.content_url}.")
        if not point.token_keys and not point.anonymous:
            say(f"{point.fqdn} admits client certificates only, so nothing is downloaded from it.")
            continue
        say(samples.verify(content, point, nameserver=nameserver, authority=authority))

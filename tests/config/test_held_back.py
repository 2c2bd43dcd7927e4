"""What of a changed file waits for a restart."""

from gateway.config.held_back import hold_back
from gateway.config.loading import parse_config
from gateway.config.schema import GatewaySection, RoutingFile

REST = "engines: {lab: {kind: remote, url: 'http://a'}}\nmodels: {m: {engine: lab}}\n"
# What is read anew for each request, or given to replicas.
FREE = {
    "body_limit_bytes",
    "queue_timeout_s",
    "prefix_affinity",
    "retry_share",
    "breaker_failures",
    "breaker_open_s",
}


def file(head: str) -> RoutingFile:
    return parse_config(head + REST, "test.yaml", {}).file


def test_the_listening_address_stays_and_is_told_and_the_rest_changes() -> None:
    old = file("gateway: {port: 1, queue_timeout_s: 1}\n")
    new = file("mode: observe\ngateway: {port: 2, host: localhost, queue_timeout_s: 2}\n")
    effective, keys = hold_back(old, new)
    assert keys == ("gateway.host", "gateway.port", "mode")
    assert (effective.gateway.port, effective.gateway.host) == (1, "127.0.0.1")
    assert effective.mode == "route"
    assert effective.gateway.queue_timeout_s == 2


def test_nothing_waits_where_nothing_of_it_has_changed() -> None:
    old = file("gateway: {port: 1}\n")
    assert hold_back(old, old) == (old, ())


def test_each_key_of_the_front_door_is_held_back_or_known_to_be_free() -> None:
    old = file("")
    every = {name: object() for name in GatewaySection.model_fields}
    other = old.model_copy(update={"gateway": old.gateway.model_copy(update=every)})
    _, keys = hold_back(old, other)
    assert {key.removeprefix("gateway.") for key in keys} == set(every) - FREE

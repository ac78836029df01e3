"""The manifests: valid by the models of Kubernetes, small rights, and each name that one says another has."""

import copy
import re
from typing import Any

import pytest

from tests.house.containers import K8S, environment_of, manifests, pod_of
from tests.house.kubernetes_models import faults

DEPLOYMENTS = ("hub", "sidecar")
PORTS = {"hub": 4000, "sidecar": 8000}


def containers(name: str) -> list[dict[str, Any]]:
    pod = pod_of(name)
    return [*pod.get("initContainers", []), *pod["containers"]]


@pytest.mark.parametrize("key", manifests(), ids=" ".join)
def test_a_manifest_is_what_kubernetes_knows(key: tuple[str, str]) -> None:
    assert faults(manifests()[key]) == []


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("spec", "replica"), 1, "replica is unknown"),
        (("spec", "replicas"), "1", "'1' is no int"),
        (("spec", "selector"), None, "selector"),
        (("spec", "template", "spec", "containers", 0, "livenessProbe", "httpGet", "port"), None, "port"),
        (("spec", "template", "spec", "containers", 0, "ports"), {"name": "http"}, "is no list"),
        (("spec", "template", "spec", "containers", 0, "env", 0, "value"), True, "True is no str"),
        (("kind",), "Deploiment", "there is no V1Deploiment"),
    ],
)
def test_a_manifest_that_is_wrong_would_be_found(path: tuple[Any, ...], value: object, fault: str) -> None:
    manifest = copy.deepcopy(manifests()["Deployment", "hub"])
    place = manifest
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    assert any(fault in one for one in faults(manifest)), faults(manifest)


def test_everything_that_the_issue_names_is_there() -> None:
    assert manifests().keys() == {
        ("PersistentVolumeClaim", "hub"),
        ("Deployment", "hub"),
        ("Service", "hub"),
        ("Deployment", "sidecar"),
        ("Service", "sidecar"),
        ("HorizontalPodAutoscaler", "sidecar"),
        ("NetworkPolicy", "crewhub"),
        ("NetworkPolicy", "hub"),
        ("NetworkPolicy", "sidecar"),
    }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_has_the_smallest_rights(name: str) -> None:
    pod = pod_of(name)
    assert pod["automountServiceAccountToken"] is False
    about = pod["securityContext"]
    assert (about["runAsNonRoot"], about["runAsUser"], about["runAsGroup"]) == (True, 10001, 10001)
    assert about["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(name):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} <= container["resources"].keys()


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_no_variable_of_a_service_is_taken_for_a_setting(name: str) -> None:
    """HUB_PORT=tcp://… of the Service `hub` would be the hub's port."""
    assert pod_of(name)["enableServiceLinks"] is False


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_everything_that_is_mounted_is_a_volume_and_the_other_way_round(name: str) -> None:
    declared = {volume["name"] for volume in pod_of(name)["volumes"]}
    mounted = {mount["name"] for container in containers(name) for mount in container["volumeMounts"]}
    assert mounted == declared


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_selectors_services_and_ports_mean_the_pods(name: str) -> None:
    deployment, service = manifests()["Deployment", name], manifests()["Service", name]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    (port,) = service["spec"]["ports"]
    (offered,) = pod_of(name)["containers"][0]["ports"]
    assert port["port"] == offered["containerPort"] == PORTS[name]
    assert port["targetPort"] == offered["name"]
    policy = manifests()["NetworkPolicy", name]["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": PORTS[name]}]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_probes_ask_what_the_program_answers_by_http_and_not_by_a_program(name: str) -> None:
    """L91: a health check using a program that the image lacks."""
    container = pod_of(name)["containers"][0]
    for probe, path in (("startup", "live"), ("liveness", "live"), ("readiness", "ready")):
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked == {"path": f"/health/{path}", "port": container["ports"][0]["name"]}


def test_the_hub_is_one_and_an_update_stops_the_old_one_first() -> None:
    spec = manifests()["Deployment", "hub"]["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    claims = [volume.get("persistentVolumeClaim") for volume in pod_of("hub")["volumes"]]
    assert {"claimName": "hub"} in claims
    assert pod_of("hub")["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    container = pod_of("hub")["containers"][0]
    state = environment_of(container)["HUB_STATE_DIR"]
    assert state.startswith(f"{container['volumeMounts'][0]['mountPath']}/"), "the mount is the group's"


def test_the_autoscaler_owns_the_number_of_sidecars() -> None:
    assert "replicas" not in manifests()["Deployment", "sidecar"]["spec"]
    spec = manifests()["HorizontalPodAutoscaler", "sidecar"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 5)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "sidecar"}
    (metric,) = spec["metrics"]
    assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    assert all("cpu" in container["resources"]["requests"] for container in containers("sidecar"))


def test_a_sidecar_that_must_go_has_time_for_its_run() -> None:
    pod = pod_of("sidecar")
    said = environment_of(pod["containers"][0])
    drain_ms = int(said["SIDECAR_DRAIN_MS"])
    assert int(said["CREW_TIMEOUT_SECONDS"]) * 1_000 < drain_ms < pod["terminationGracePeriodSeconds"] * 1_000


def test_secrets_are_named_and_never_written() -> None:
    for path in K8S.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert "kind: Secret\n" not in text
        assert not re.search(r"redis(s)?://", text)
    said = [one for name in DEPLOYMENTS for container in containers(name) for one in container.get("env", [])]
    by_reference = {one["name"] for one in said if "secretKeyRef" in one.get("valueFrom", {})}
    assert by_reference == {"REDIS_URL", "SIDECAR_MODEL"}


def test_nobody_talks_to_anybody_unless_a_policy_says_so() -> None:
    shut = manifests()["NetworkPolicy", "crewhub"]["spec"]
    assert shut["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in shut
    for name in DEPLOYMENTS:
        labels = manifests()["Deployment", name]["spec"]["template"]["metadata"]["labels"]
        assert shut["podSelector"]["matchLabels"].items() <= labels.items()
        for rule in manifests()["NetworkPolicy", name]["spec"]["egress"]:
            for block in (to["ipBlock"] for to in rule["to"] if "ipBlock" in to):
                assert {"10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"} <= set(block["except"])


def test_the_open_door_is_open_to_sidecars_and_to_who_is_labelled() -> None:
    """HUB_OPEN_ONBOARDING without the policy would make an agent of every pod of the cluster."""
    assert environment_of(pod_of("hub")["containers"][0])["HUB_OPEN_ONBOARDING"] == "true"
    (rule,) = manifests()["NetworkPolicy", "hub"]["spec"]["ingress"]
    sidecars = manifests()["Deployment", "sidecar"]["spec"]["selector"]
    assert rule["from"] == [
        {"podSelector": sidecars},
        {"podSelector": {"matchLabels": {"crewhub/asks-the-hub": "true"}}},
    ]

import Foundation
import Testing
import Yams

@testable import MessagePassing

/// `launch/mpijob.yaml` against the schema of MPIJob v2beta1, and against the image that it runs.
@Suite struct MPIJobTests {
  /// Fields by the object they belong to, from the schema of the custom resource (kubeflow/mpi-operator,
  /// manifests/base/kubeflow.org_mpijobs.yaml), and of the core objects as far as they are used.
  private static let fields: [String: Set<String>] = [
    "": ["apiVersion", "kind", "metadata", "spec"],
    "spec": [
      "launcherCreationPolicy", "mpiImplementation", "mpiReplicaSpecs", "runLauncherAsWorker",
      "runPolicy", "slotsPerWorker", "sshAuthMountPath",
    ],
    "spec.runPolicy": [
      "activeDeadlineSeconds", "backoffLimit", "cleanPodPolicy", "managedBy", "schedulingPolicy",
      "suspend", "ttlSecondsAfterFinished",
    ],
    "spec.mpiReplicaSpecs": ["Launcher", "Worker"],
    "replica": ["replicas", "restartPolicy", "template"],
    "template": ["metadata", "spec"],
    "pod": [
      "containers", "securityContext", "terminationGracePeriodSeconds", "volumes", "nodeSelector",
      "tolerations", "affinity",
    ],
    "container": [
      "args", "command", "env", "image", "name", "readinessProbe", "resources", "securityContext",
      "volumeMounts", "workingDir",
    ],
  ]

  private typealias Object = [String: Any]
  private let manifest: Object

  init() throws {
    let path = repository.appending(path: "launch/mpijob.yaml")
    let text = try String(contentsOf: path, encoding: .utf8)
    manifest = try #require(try Yams.load(yaml: text) as? Object)
  }

  private func object(_ parent: Object, _ name: String) throws -> Object {
    try #require(parent[name] as? Object, "\(name)")
  }

  private func pods() throws -> [(replica: Object, pod: Object, container: Object)] {
    let replicas = try object(object(manifest, "spec"), "mpiReplicaSpecs")
    return try ["Launcher", "Worker"].map { name in
      let replica = try object(replicas, name)
      let pod = try object(object(replica, "template"), "spec")
      let containers = try #require(pod["containers"] as? [Object])
      #expect(containers.count == 1)
      return (replica, pod, containers[0])
    }
  }

  @Test func itHasTheFieldsOfTheSchemaAndNoOthers() throws {
    #expect(manifest["apiVersion"] as? String == "kubeflow.org/v2beta1")
    #expect(manifest["kind"] as? String == "MPIJob")
    func check(_ object: Object, _ place: String) throws {
      let known = try #require(Self.fields[place])
      #expect(Set(object.keys).subtracting(known).isEmpty, "\(place): \(object.keys)")
    }
    try check(manifest, "")
    let spec = try object(manifest, "spec")
    try check(spec, "spec")
    #expect(spec["slotsPerWorker"] is Int && spec["sshAuthMountPath"] is String)
    #expect(
      ["AtStartup", "WaitForWorkersReady"].contains(spec["launcherCreationPolicy"] as? String))
    let policy = try object(spec, "runPolicy")
    try check(policy, "spec.runPolicy")
    #expect(["None", "Running", "All"].contains(policy["cleanPodPolicy"] as? String))
    #expect((policy["backoffLimit"] as? Int ?? 0) > 0)
    try check(object(spec, "mpiReplicaSpecs"), "spec.mpiReplicaSpecs")
    for (replica, pod, container) in try pods() {
      try check(replica, "replica")
      #expect((replica["replicas"] as? Int ?? 0) > 0)
      #expect(["Never", "OnFailure"].contains(replica["restartPolicy"] as? String))
      try check(object(replica, "template"), "template")
      try check(pod, "pod")
      try check(container, "container")
      #expect(container["name"] is String && container["image"] is String)
      #expect((container["command"] as? [String] ?? []).count == 1)
      #expect((container["args"] as? [Any])?.allSatisfy { $0 is String } == true)
      let requests = try object(object(container, "resources"), "requests")
      #expect(Set(requests.keys) == ["cpu", "memory"])
      // Every mount is of a volume of the pod.
      let mounts = try #require(container["volumeMounts"] as? [Object])
      let volumes = try #require(pod["volumes"] as? [Object]).map { $0["name"] as? String }
      #expect(mounts.allSatisfy { volumes.contains($0["name"] as? String) })
      #expect(mounts.contains { $0["mountPath"] as? String == "/data" })
    }
  }

  @Test func itRunsAsTheUserOfTheImageWithoutPrivileges() throws {
    let dockerfile = try String(
      contentsOf: repository.appending(path: "Dockerfile"), encoding: .utf8)
    #expect(dockerfile.contains("--uid 1000 rfm") && dockerfile.contains("\nUSER rfm\n"))
    for (_, pod, container) in try pods() {
      let user = try object(pod, "securityContext")
      #expect(user["runAsNonRoot"] as? Bool == true && user["runAsUser"] as? Int == 1000)
      let context = try object(container, "securityContext")
      #expect(context["allowPrivilegeEscalation"] as? Bool == false)
    }
    #expect(try object(manifest, "spec")["sshAuthMountPath"] as? String == "/home/rfm/.ssh")
  }

  /// What the pods start is in the image, and listens where the launcher looks.
  @Test func itStartsWhatTheImageHas() throws {
    let dockerfile = try String(
      contentsOf: repository.appending(path: "Dockerfile"), encoding: .utf8)
    let run = try #require(dockerfile.components(separatedBy: "FROM ${RUN_IMAGE}").last)
    let (launcher, worker) = (try pods()[0].container, try pods()[1].container)
    let program = try #require((launcher["command"] as? [String])?.first)
    #expect(program == "/opt/rfm/launch/cluster")
    for name in ["common.sh", "cluster", "guarded"] {
      #expect(run.contains("launch/\(name)"), "\(name)")
    }
    #expect((launcher["args"] as? [String])?.last == "--resume")
    #expect((worker["args"] as? [String])?.last == "/opt/rfm/sshd_config")
    #expect(
      run.contains(">/opt/rfm/sshd_config") && run.contains("'HostKey /home/rfm/.ssh/id_rsa'"))
    let probe = try object(object(worker, "readinessProbe"), "tcpSocket")
    #expect(probe["port"] as? Int == 2222)
    #expect(run.components(separatedBy: "'Port 2222'").count == 3, "the server's and the client's")
  }
}

import Foundation
import Testing
import Yams

@testable import MessagePassing

/// `launch/mpijob.yaml` against the operator's published schema of MPIJob v2beta1, as far as the manifest
/// touches it (`Tests/Oracle/mpijob_schema.py`), and against the image that it runs.
@Suite struct MPIJobTests {
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

  /// What in a value does not follow a schema: unknown and missing fields, other types and values. `place`
  /// is the value's path.
  private func deviations(_ value: Any, _ schema: Object, at place: String) -> [String] {
    let isNumber = value is Int && !(value is Bool)
    let isOfType =
      switch schema["type"] as? String {
      case "object": value is Object
      case "array": value is [Any]
      case "string": value is String
      case "integer": isNumber
      case "boolean": value is Bool
      default: schema["x-kubernetes-int-or-string"] == nil || isNumber || value is String
      }
    guard isOfType else { return ["\(place) is no \(schema["type"] ?? "number or text")"] }
    var found: [String] = []
    if let allowed = schema["enum"] as? [String], !allowed.contains(value as? String ?? "") {
      found.append("\(place) is not among \(allowed)")
    }
    if let minimum = schema["minimum"] as? Int, (value as? Int ?? minimum) < minimum {
      found.append("\(place) is below \(minimum)")
    }
    if let object = value as? Object {
      for name in schema["required"] as? [String] ?? [] where object[name] == nil {
        found.append("\(place).\(name) is missing")
      }
      let fields = schema["properties"] as? Object
      for (name, part) in object {
        let place = place + "." + name
        if let field = (fields?[name] ?? schema["additionalProperties"]) as? Object {
          found += deviations(part, field, at: place)
        } else if fields != nil {
          found.append("\(place) is unknown")
        }
      }
    } else if let array = value as? [Any], let items = schema["items"] as? Object {
      for (index, part) in array.enumerated() {
        found += deviations(part, items, at: "\(place)[\(index)]")
      }
    }
    return found
  }

  private static func schema() throws -> Object {
    let path = repository.appending(path: "Tests/Support/mpijob-schema.json")
    return try #require(try Yams.load(yaml: String(contentsOf: path, encoding: .utf8)) as? Object)
  }

  @Test func itHasTheFieldsOfTheSchemaAndNoOthers() throws {
    #expect(manifest["apiVersion"] as? String == "kubeflow.org/v2beta1")
    #expect(manifest["kind"] as? String == "MPIJob")
    #expect(try deviations(manifest, Self.schema(), at: "") == [])
    // Texts in the schema, of which the operator knows these.
    let spec = try object(manifest, "spec")
    #expect(
      ["AtStartup", "WaitForWorkersReady"].contains(spec["launcherCreationPolicy"] as? String))
    let policy = try object(spec, "runPolicy")
    #expect(["None", "Running", "All"].contains(policy["cleanPodPolicy"] as? String))
    for (replica, pod, container) in try pods() {
      #expect(["Never", "OnFailure"].contains(replica["restartPolicy"] as? String))
      // Every mount is of a volume of the pod.
      let mounts = try #require(container["volumeMounts"] as? [Object])
      let volumes = try #require(pod["volumes"] as? [Object]).map { $0["name"] as? String }
      #expect(mounts.allSatisfy { volumes.contains($0["name"] as? String) })
      #expect(mounts.contains { $0["mountPath"] as? String == "/data" })
    }
  }

  /// The check finds what it is for.
  @Test(arguments: [
    ("slotsPerWorker:", "slotsPerWorkers:", ".spec.slotsPerWorkers is unknown"),
    ("backoffLimit: 20", "backoffLimit: many", ".spec.runPolicy.backoffLimit is no integer"),
    ("- name: worker", "- stdin: false", "containers[0].name is missing"),
    ("workingDir:", "workingDirectory:", ".workingDirectory is unknown"),
    ("tcpSocket: {port: 2222}", "tcpSocket: {port: []}", "tcpSocket.port is no number or text"),
  ])
  func anotherFieldOrValueIsFound(original: String, changed: String, words: String) throws {
    let path = repository.appending(path: "launch/mpijob.yaml")
    let text = try String(contentsOf: path, encoding: .utf8).replacing(original, with: changed)
    let object = try #require(try Yams.load(yaml: text) as? Object)
    let found = try deviations(object, Self.schema(), at: "")
    #expect(found.contains { $0.hasSuffix(words) }, "\(found)")
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

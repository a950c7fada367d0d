import Foundation
import Testing

@testable import rfm

/// `launch/fetch-swift` with a server on the loopback in swift.org's place, a toolchain that is one
/// script, and real signatures (`Tests/Support/signed-toolchain`).
@Suite(
  .enabled(
    if: ["python3", "curl", "gpg"].allSatisfy {
      FileManager.default.fileExists(atPath: "/usr/bin/\($0)")
    },
    "python3, curl or gpg is missing"))
struct ToolchainTests {
  private let folder: TestFolder
  private let script = repository.path + "/launch/fetch-swift"
  private static let support = repository.appending(path: "Tests/Support/signed-toolchain")
  private static let debian12 = "ID=debian\nVERSION_ID=\"12\"\n"

  init() throws {
    folder = try TestFolder()
    try folder.write(Self.debian12, to: "system")
  }

  private static func word(_ name: String) throws -> String {
    try String(contentsOf: support.appending(path: name), encoding: .utf8)
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// What the script is told besides; the cache is in `folder`.
  private func environment(trusting key: String? = "fingerprint") throws -> [String: String] {
    var result = [
      "RFM_OS_RELEASE": folder.file("system"), "XDG_CACHE_HOME": folder.file("cache"),
      "RFM_SWIFT_KEYS": Self.support.appending(path: "keys.asc").path,
    ]
    if let key { result["RFM_SWIFT_FINGERPRINT"] = try Self.word(key) }
    return result
  }

  private var cached: [String] { folder.names("cache/rfm") }

  // MARK: Which toolchain

  @Test(arguments: [
    ("ID=debian\nVERSION_ID=\"12\"", "x86_64", "debian12", "debian12"),
    ("ID=debian\nVERSION_ID=\"13\"", "aarch64", "debian12-aarch64", "debian12-aarch64"),
    ("ID=debian", "x86_64", "debian12", "debian12"),
    ("ID=ubuntu\nVERSION_ID=\"24.04\"\nID_LIKE=debian", "x86_64", "ubuntu2404", "ubuntu24.04"),
    ("ID=ubuntu\nVERSION_ID=\"26.04\"\nID_LIKE=debian", "x86_64", "ubuntu2404", "ubuntu24.04"),
    (
      "ID=linuxmint\nVERSION_ID=21\nID_LIKE=\"ubuntu debian\"\nUBUNTU_CODENAME=jammy", "aarch64",
      "ubuntu2204-aarch64", "ubuntu22.04-aarch64"
    ),
  ])
  func theSystemAndTheProcessorChooseIt(
    system: String, processor: String, directory: String, name: String
  ) throws {
    try folder.write(system, to: "system")
    let outcome = try Job.run(
      script, ["--url"],
      environment: environment().merging(["BASH_FUNC_uname%%": "() { echo \(processor); }"]) { $1 })
    #expect(outcome.succeeded, "\(outcome)")
    let parts = outcome.standardOutput.split(separator: "/")
    #expect(outcome.standardOutput.hasPrefix("https://download.swift.org/swift-"), "\(outcome)")
    #expect(parts.dropFirst(3).first.map(String.init) == directory, "\(outcome)")
    #expect(outcome.standardOutput.hasSuffix("-RELEASE-\(name).tar.gz\n"), "\(outcome)")
  }

  @Test(arguments: [
    ("ID=fedora\nPRETTY_NAME=\"Fedora 41\"", "x86_64", "Fedora 41 on x86_64"),
    ("ID=debian\nVERSION_ID=\"11\"\nPRETTY_NAME=\"Debian 11\"", "x86_64", "Debian 11"),
    ("ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"", "riscv64", "on riscv64"),
  ])
  func systemsWithoutOneAreTold(system: String, processor: String, words: String) throws {
    try folder.write(system, to: "system")
    let outcome = try Job.run(
      script, [],
      environment: environment().merging(["BASH_FUNC_uname%%": "() { echo \(processor); }"]) { $1 })
    #expect(outcome.status == 1 && outcome.standardError.contains(words), "\(outcome)")
    #expect(outcome.standardError.contains("install Swift"), "\(outcome)")
  }

  // MARK: Fetching

  /// Serves the toolchain with a signature while `body` runs, which is given the address.
  private func serving(
    _ signature: String, damaged: Bool = false, _ body: (_ address: String) throws -> Void
  ) throws {
    let site = folder.file("site")
    let path = try Job.run(script, ["--url"], environment: environment()).standardOutput
      .trimmingCharacters(in: .newlines).replacing("https://download.swift.org", with: site)
    let files = FileManager.default
    try files.createDirectory(
      atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    var toolchain = try Data(contentsOf: Self.support.appending(path: "toolchain.tar.gz"))
    if damaged { toolchain.append(0) }
    try toolchain.write(to: URL(filePath: path))
    if signature != "none" {
      try Data(contentsOf: Self.support.appending(path: signature + ".sig"))
        .write(to: URL(filePath: path + ".sig"))
    }
    let server = try Job(
      "/usr/bin/python3", ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"], directory: site)
    defer {
      server.signal(SIGKILL)
      _ = server.wait()
    }
    let listens = server.wait(until: { $0.standardOutput.contains("http://127.0.0.1:") })
    #expect(listens)
    let address = server.standardOutput.firstMatch(of: /http:\/\/127\.0\.0\.1:[0-9]+/)
    try body(String(try #require(address).0))
  }

  /// The second time it is there. Other scripts fetch it by themselves where what they find is too old.
  @Test func itIsFetchedOnceAndFound() throws {
    try serving("good") { address in
      let settings = try environment().merging(["RFM_SWIFT_URL": address]) { $1 }
      let first = try Job.run(script, [], environment: settings)
      #expect(first.succeeded && first.standardError.contains("fetching \(address)/"), "\(first)")
      let programs = first.standardOutput.trimmingCharacters(in: .newlines)
      #expect(programs.hasPrefix(folder.file("cache/rfm/swift-")), "\(first)")
      #expect(FileManager.default.isExecutableFile(atPath: programs + "/swift"))
      #expect(cached.count == 1, "\(cached)")
      let second = try Job.run(script, [], environment: settings)
      #expect(second.succeeded && second.standardError.isEmpty, "\(second)")
      #expect(second.standardOutput == first.standardOutput)

      try FileManager.default.removeItem(atPath: folder.file("cache"))
      // Newer than any that this machine may have.
      let need = "source '\(repository.path)/launch/common.sh'; swift_minimum=98; need_swift; "
      let refused = try Job.run(
        "/bin/bash", ["-c", need], environment: settings.merging(["RFM_NO_INSTALL": "1"]) { $1 })
      #expect(refused.status == 1 && cached.isEmpty, "\(refused)")
      #expect(refused.standardError.contains("launch/fetch-swift fetches it"), "\(refused)")
      for isThere in [false, true] {
        let found = try Job.run(
          "/bin/bash", ["-c", need + "swift --version"], environment: settings)
        #expect(found.standardOutput == "Swift version 99.0 (pretended)\n", "\(found)")
        #expect(found.standardError.contains("fetching") != isThere, "\(found)")
      }
    }
  }

  /// A key that has expired since has signed it all the same; not so after that.
  @Test func aKeyMayHaveExpiredAfterItSigned() throws {
    try serving("before") { address in
      let settings = try environment(trusting: "expired")
        .merging(["RFM_SWIFT_URL": address]) { $1 }
      let outcome = try Job.run(script, [], environment: settings)
      #expect(outcome.succeeded && cached.count == 1, "\(outcome)")
    }
  }

  @Test(
    arguments: [
      ("stranger", false, "fingerprint", "a key that is not in "),
      ("good", true, "fingerprint", "the signature is not of this file"),
      ("good", false, "expired", "which is none of swift.org's"),
      ("good", false, nil, "which is none of swift.org's"),
      ("after", false, "expired", "it was signed after the key "),
      ("none", false, "fingerprint", ".sig cannot be fetched"),
    ] as [(String, Bool, String?, String)])
  func whatIsNotSignedAsItMustBeIsRefusedAndNothingStays(
    signature: String, damaged: Bool, trusted: String?, words: String
  ) throws {
    try serving(signature, damaged: damaged) { address in
      let settings = try environment(trusting: trusted).merging(["RFM_SWIFT_URL": address]) { $1 }
      let outcome = try Job.run(script, [], environment: settings)
      #expect(outcome.status == 1 && outcome.standardOutput.isEmpty, "\(outcome)")
      #expect(outcome.standardError.contains(words), "\(outcome)")
      #expect(cached.isEmpty, "\(cached)")
    }
  }

  @Test func withoutNetworkItSaysWhatToDo() throws {
    // Nobody listens on this port, which needs root.
    let settings = try environment().merging(["RFM_SWIFT_URL": "http://127.0.0.1:1"]) { $1 }
    let outcome = try Job.run(script, [], environment: settings)
    #expect(outcome.status == 1 && cached.isEmpty, "\(outcome)")
    for words in ["cannot be fetched", "https://www.swift.org/install/linux", "RFM_SWIFT_URL"] {
      #expect(outcome.standardError.contains(words), "\(outcome)")
    }
  }

  /// Somebody who may write into a folder of his own alone.
  @Test(.enabled(if: getuid() == 0, "only root can become somebody else"))
  func itNeedsNoRoot() throws {
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o755], ofItemAtPath: folder.path)
    // A copy: the repository may lie where only root looks.
    try FileManager.default.createDirectory(
      atPath: folder.file("launch"), withIntermediateDirectories: true)
    for name in ["common.sh", "fetch-swift"] {
      try FileManager.default.copyItem(
        atPath: repository.path + "/launch/" + name, toPath: folder.file("launch/" + name))
    }
    try FileManager.default.copyItem(
      at: Self.support.appending(path: "keys.asc"), to: URL(filePath: folder.file("keys")))
    func asNobody(_ environment: [String: String]) throws -> Job.Outcome {
      try Job.run(
        "/usr/bin/setpriv",
        [
          "--reuid", "65534", "--clear-groups", "--regid", "65534",
          folder.file("launch/fetch-swift"),
        ],
        environment: environment, directory: "/")
    }
    try serving("good") { address in
      let settings = try environment().merging(
        ["RFM_SWIFT_URL": address, "RFM_SWIFT_KEYS": folder.file("keys")]) { $1 }
      let refused = try asNobody(settings)
      #expect(
        refused.status == 1 && refused.standardError.contains("set XDG_CACHE_HOME"), "\(refused)")
      try FileManager.default.createDirectory(
        atPath: folder.file("cache"), withIntermediateDirectories: true,
        attributes: [.ownerAccountID: 65534])
      let outcome = try asNobody(settings)
      #expect(outcome.succeeded && cached.count == 1, "\(outcome)")
    }
  }
}

import Foundation
import Testing

@testable import rfm

/// `launch/install-dependencies` where Ubuntu's packages have other names, and `launch/install`.
@Suite struct InstallationTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private static let ubuntu = repository.path + "/Tests/Support/pretended-apt/ubuntu-24.04"

  /// Runs `launch/install-dependencies` on a system of which only the names of its packages are there, in
  /// a file.
  private func install(_ system: String, _ options: [String]) throws -> Job.Outcome {
    let pretended = repository.path + "/Tests/Support/pretended-apt"
    let path = try #require(ProcessInfo.processInfo.environment["PATH"])
    try folder.write("", to: "installed")
    return try Job.run(
      repository.path + "/launch/install-dependencies", options,
      environment: [
        "PATH": "\(pretended):\(path)", "BASH_FUNC_id%%": "() { echo 0; }",
        "RFM_PRETENDED_PACKAGES": system,
        "RFM_PRETENDED_INSTALLED": folder.file("installed"),
      ])
  }

  private var installed: Set<Substring> {
    get throws {
      try Set(
        String(contentsOfFile: folder.file("installed"), encoding: .utf8).split(separator: "\n"))
    }
  }

  /// By their names alone: nothing of it was run there.
  @Test func theLibrariesHaveTheirNamesOnUbuntu() throws {
    let runtime = try install(Self.ubuntu, ["--runtime"])
    #expect(runtime.succeeded, "\(runtime)")
    #expect(
      try installed.isSuperset(of: [
        "libopenmpi3t64", "libhdf5-103-1t64", "libdnnl3", "libjpeg-turbo8", "libpng16-16t64",
        "libavif16", "libssl3t64", "libavformat60", "libavcodec60", "libswscale7", "libavutil58",
      ]))
    #expect(try !installed.contains { $0.hasSuffix("-dev") })

    let whole = try install(Self.ubuntu, ["--tests", "--media"])
    #expect(whole.succeeded, "\(whole)")
    #expect(
      try installed.isSuperset(of: [
        "g++", "libopenmpi-dev", "libdnnl-dev", "libdlib-dev", "libcurl4t64", "libxml2", "ffmpeg",
        "hdf5-tools",
      ]))
    // Ubuntu has Chromium as a snap.
    #expect(whole.standardError.contains("tests that need chromium will be skipped"), "\(whole)")
  }

  @Test func whatNoPackageOfferedIsNamed() throws {
    try folder.write("openmpi-bin\n", to: "few")
    let outcome = try install(folder.file("few"), [])
    #expect(outcome.status == 1, "\(outcome)")
    #expect(outcome.standardError.contains("could not install "), "\(outcome)")
    #expect(outcome.standardError.contains("libhdf5-dev"), "\(outcome)")
  }

  // MARK: launch/install

  private func install(into prefix: String) throws -> Job.Outcome {
    try Job.run(
      repository.path + "/launch/install", ["--prefix", prefix],
      environment: ["RFM": Job.product("rfm")], directory: "/")
  }

  /// An installation trains after it was moved, from wherever it is called.
  @Test func anInstallationMayBeMoved() throws {
    let first = folder.file("first place")
    let outcome = try install(into: first)
    #expect(outcome.succeeded, "\(outcome)")
    #expect(outcome.standardError.contains("\(first)/bin"), "\(outcome)")
    // What is there already is replaced.
    #expect(try install(into: first).succeeded)
    let place = folder.file("second place")
    try FileManager.default.moveItem(atPath: first, toPath: place)
    for name in [
      "bin/rfm", "libexec/rfm/launch/cluster", "libexec/rfm/launch/slurm.sbatch",
      "libexec/rfm/launch/guarded", "libexec/rfm/launch/mpijob.yaml", "share/rfm/configs/dffd.yaml",
      "libexec/rfm/configs/smoke.yaml", "share/doc/rfm/LICENSE", "share/doc/rfm/CHANGELOG.md",
      "share/modulefiles/rfm", "share/bash-completion/completions/rfm",
      "share/zsh/site-functions/_rfm", "share/fish/vendor_completions.d/rfm.fish",
    ] { #expect(FileManager.default.fileExists(atPath: place + "/" + name), "\(name)") }
    let files = try #require(FileManager.default.enumerator(atPath: place))
    for case let name as String in files where !name.hasSuffix("bin/rfm") {
      guard let text = try? String(contentsOfFile: place + "/" + name, encoding: .utf8) else {
        continue
      }
      #expect(!text.contains(folder.path), "\(name)")
    }

    let trained = try Job.run(
      place + "/libexec/rfm/launch/smoke", ["--output", folder.file("work")],
      environment: ["RFM_NO_INSTALL": "1"], directory: "/")
    #expect(trained.succeeded, "\(trained)")
    #expect(
      FileManager.default.fileExists(atPath: folder.file("work/runs/smoke/checkpoints/latest")))
    let version = try Job.run(place + "/bin/rfm", ["--version"], directory: "/")
    #expect(version.succeeded && version.standardOutput.hasPrefix("0."), "\(version)")
  }

  @Test func aPlaceThatCannotBeWrittenToIsNamedByInstall() throws {
    try folder.write("", to: "file")
    let outcome = try install(into: folder.file("file/below"))
    #expect(outcome.status == 74, "\(outcome)")
    #expect(outcome.standardError.contains("\(folder.file("file/below")) cannot be"), "\(outcome)")
    let none = try Job.run(repository.path + "/launch/install", [])
    #expect(none.status == 64 && none.standardError.contains("--prefix"), "\(none)")
  }
}

import Foundation
import Glibc
import MessagePassing
import Testing

@testable import Checkpoints
@testable import FaceShards

/// A small file system in memory, for as long as its owner lives.
final class SmallDisk {
  let path: String

  /// Whether this user may mount one here.
  static let isAllowed: Bool = (try? SmallDisk(megabytes: 1)) != nil

  struct Failure: Error {
    var code: Int32
  }

  init(megabytes: Int) throws {
    path = FileManager.default.temporaryDirectory.path + "/rfm-disk-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    guard mount("tmpfs", path, "tmpfs", 0, "size=\(megabytes)m") == 0 else {
      let code = errno
      rmdir(path)
      throw Failure(code: code)
    }
  }

  deinit {
    umount2(path, Int32(MNT_DETACH))
    rmdir(path)
  }

  func change(megabytes: Int) throws {
    guard mount("tmpfs", path, "tmpfs", UInt(MS_REMOUNT), "size=\(megabytes)m") == 0
    else { throw Failure(code: errno) }
  }

  /// Leaves so much room.
  func fill(leaving kilobytes: Int) throws {
    let filler = open(path + "/filler", O_WRONLY | O_CREAT, 0o600)
    defer { close(filler) }
    let block = [UInt8](repeating: 1, count: 4096)
    while write(filler, block, block.count) == block.count {}
    let size = lseek(filler, 0, SEEK_END)
    guard size > kilobytes << 10, ftruncate(filler, size - off_t(kilobytes << 10)) == 0
    else { throw Failure(code: errno) }
  }

  func protect() throws {
    guard mount("tmpfs", path, "tmpfs", UInt(MS_REMOUNT | MS_RDONLY), nil) == 0
    else { throw Failure(code: errno) }
  }
}

extension Jobs {
  /// Trouble with the place that a training writes to: it says so with the path, ends with status 74
  /// and leaves what it had saved.
  @Suite struct Output {
    private let runs: TinyRuns
    private var folder: TestFolder { runs.folder }

    init() throws { runs = try TinyRuns() }

    /// A checkpoint takes 5 MB: there is room for one. With more room the training goes on, to the
    /// same bits.
    @Test(.enabled(if: SmallDisk.isAllowed, "needs a user who may mount a file system"))
    func aFullDiskEndsTheTrainingAndKeepsTheCheckpointBefore() throws {
      let disk = try SmallDisk(megabytes: 8)
      let settings = ["training.steps=12", "run.directory=\(disk.path)"]
      let outcome = try runs.train("x", settings, ranks: 2)
      #expect(outcome.isRefusal(74, "\(disk.path)/x/", "No space left on device"), "\(outcome)")
      let names = try FileManager.default.contentsOfDirectory(atPath: disk.path + "/x/checkpoints")
      #expect(names.contains("step-00000004") && names.contains("latest"), "\(names)")
      #expect(!names.contains { $0.hasSuffix(".partial") }, "\(names)")
      #expect(throws: Never.self) {
        try Checkpoint(opening: disk.path + "/x/checkpoints/latest")
      }

      try disk.change(megabytes: 64)
      let resumed = try runs.train("x", settings, ranks: 2, more: ["--resume"])
      #expect(resumed.succeeded, "\(resumed)")
      let whole = try runs.train("whole", ["training.steps=12"], ranks: 2)
      #expect(whole.succeeded, "\(whole)")
      for file in ["model.safetensors", "optimizer.safetensors"] {
        let isTheSame =
          try bytes(disk.path + "/x/checkpoints/latest/" + file)
          == bytes(runs.latest("whole", file))
        #expect(isTheSame, "\(file)")
      }
    }

    /// The logs are what meets it then, long before the next checkpoint.
    @Test(.enabled(if: SmallDisk.isAllowed, "needs a user who may mount a file system"))
    func aDiskThatFillsUpEndsTheTrainingAtTheNextStep() throws {
      let disk = try SmallDisk(megabytes: 8)
      let settings = [
        "training.steps=1000000", "checkpoint.every_steps=1000000", "run.directory=\(disk.path)",
      ]
      let job = try Job("rfm", runs.arguments("x", settings), ranks: 2, timeLimit: 120)
      let metrics = disk.path + "/x/metrics.jsonl"
      #expect(job.wait(until: { _ in (try? bytes(metrics).isEmpty) == false }))
      try disk.fill(leaving: 0)
      let outcome = job.wait()
      #expect(outcome.isRefusal(74, disk.path + "/x/", "No space left on device"), "\(outcome)")
      // What is there is whole.
      #expect(throws: Never.self) { try MetricsFile.read(metrics) }
    }

    @Test(.enabled(if: SmallDisk.isAllowed, "needs a user who may mount a file system"))
    func aDiskThatIsFullFromTheStartIsNamedAndStaysAsItWas() throws {
      let disk = try SmallDisk(megabytes: 1)
      try disk.fill(leaving: 0)
      let outcome = try runs.train("x", ["run.directory=\(disk.path)"], ranks: 2)
      #expect(outcome.isRefusal(74, "\(disk.path)/x/", "No space left on device"), "\(outcome)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path) == ["filler"])
    }

    /// With room for the beginning, too: HDF5 holds back what it writes until a file is closed.
    @Test(
      .enabled(if: SmallDisk.isAllowed, "needs a user who may mount a file system"),
      arguments: [
        (Applying.evaluate, 0), (.attribute, 0), (.attention, 24), (.attention, 0),
        (.prototypes, 24), (.prototypes, 0),
      ])
    func aFullDiskEndsEveryCommandThatWrites(command: Applying, kilobytes: Int) throws {
      let disk = try SmallDisk(megabytes: 1)
      try disk.fill(leaving: kilobytes)
      let output = disk.path + "/" + command.outputName
      let outcome = try Job.run(
        "rfm",
        command.arguments(
          checkpoint: TinyRuns.checkpoint.get().path, data: SharedData.train, output: output),
        ranks: 2)
      #expect(outcome.isRefusal(74, output, "No space left on device"), "\(outcome)")
      let left = try FileManager.default.subpathsOfDirectory(atPath: disk.path)
      #expect(left.allSatisfy { $0 == "filler" || $0 == "results" }, "\(left)")
    }

    @Test(.enabled(if: SmallDisk.isAllowed, "needs a user who may mount a file system"))
    func aReadOnlyDiskIsNamed() throws {
      let disk = try SmallDisk(megabytes: 8)
      try disk.protect()
      let outcome = try runs.train("x", ["run.directory=\(disk.path)"], ranks: 2)
      #expect(outcome.isRefusal(74, "\(disk.path)/x", "Read-only file system"), "\(outcome)")
    }

    /// At the next step, not at the next checkpoint, which may be hours away.
    @Test func aRunFolderThatVanishesEndsTheTraining() throws {
      let job = try Job(
        "rfm", runs.arguments("x", ["training.steps=1000000", "checkpoint.every_steps=1000000"]),
        ranks: 2, timeLimit: 120)
      let metrics = runs.path("x") + "/metrics.jsonl"
      // TensorBoard's file is the last that is made: until then another path may be the one named.
      #expect(
        job.wait(until: { _ in
          (try? bytes(metrics).isEmpty) == false
            && folder.names("runs/x").contains { $0.hasPrefix("events.") }
        }))
      // Gone at once, not file by file under the training's hands.
      #expect(rename(runs.path("x"), folder.file("elsewhere")) == 0)
      let outcome = job.wait()
      #expect(
        outcome.isRefusal(74, metrics, "No such file or directory"),
        "\(outcome)")
      #expect(folder.names("runs").isEmpty)
    }

    /// Real images alone have no AUC: then the newest is the best, so that there is one.
    @Test func withoutAnAUCTheNewestCheckpointIsTheBest() throws {
      let path = folder.file("real.h5")
      let writer = try ShardWriter(
        path: path, height: 64, width: 64, methodNames: ["real"], hasSources: false)
      for level in [40, 200] as [UInt8] {
        try writer.append(image: [UInt8](repeating: level, count: 64 * 64 * 3), method: 0)
      }
      try writer.finish()
      let outcome = try runs.train("x", ["data.validation=\(path)", "run.report=false"])
      #expect(outcome.succeeded, "\(outcome)")
      #expect(CheckpointStore(path: runs.path("x") + "/checkpoints").bestStep == 8)
    }

    @Test func aTrainingThatIsRefusedLeavesNoFolder() throws {
      let missing = folder.file("none.safetensors")
      let outcome = try runs.train("x", ["model.weights=\(missing)"], ranks: 2)
      #expect(outcome.isRefusal(74, missing), "\(outcome)")
      #expect(folder.names() == ["config.yaml"])
      let damaged = try runs.train("x", ["data.validation=\(folder.file("config.yaml"))"], ranks: 2)
      #expect(damaged.status == 65, "\(damaged)")
      #expect(folder.names() == ["config.yaml"])
    }

    /// Through mpirun's pipe: `launch/local` tells the width of the terminal behind it.
    @Test func progressIsOneLineWhereATerminalIsBehindThePipe() throws {
      // Open MPI 5 passes on whole lines only, and so is given whole lines.
      let passesParts = !MessagePassing.libraryVersion.contains("v5.")
      for (variables, isLive) in [
        (["RFM_TERMINAL": "60", "TERM": "xterm"], passesParts), ([:], false),
      ] {
        let outcome = try Job.run(
          "rfm", runs.arguments(variables.isEmpty ? "plain" : "live"), ranks: 2,
          environment: variables)
        #expect(outcome.succeeded, "\(outcome)")
        #expect(outcome.standardError.contains("\rstep ") == isLive, "\(outcome)")
        let shown = outcome.standardError.split(whereSeparator: { "\r\n".contains($0) })
        #expect(
          !isLive
            || shown.allSatisfy { !$0.hasPrefix("step ") || $0.contains(":") || $0.count < 60 })
      }
    }
  }
}

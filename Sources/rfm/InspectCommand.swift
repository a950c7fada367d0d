import ArgumentParser
import Evaluation
import FaceShards
import Foundation
import Foundations
import Images
import MessagePassing
import Reports

/// `rfm inspect`: what files hold, and what is wrong with them.
struct InspectCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Say what shards, prototypes, weights and checkpoints hold; verify their checksums.",
    discussion: """
      Tells what each path is by its contents: a shard (images per label and method, sources, how \
      they are stored), a prototypes file, any other HDF5 file, weights (safetensors, PyTorch, an \
      index of several files: which network, behind which prefix, with which head; or which is \
      nearest, and what differs), the folder of a checkpoint or of a run.

      --sheet draws a sample of the images of the shards, a method's in rows of their own, and says \
      which rows are whose: a look at it shows what a detector would learn from.

      --verify reads everything: the checksum of every image and mask, the digest of every file of \
      a checkpoint, and whether all weights are finite. Under mpirun the ranks share the images.

      --splits compares shards instead: no source may be in two splits, no sources that their names \
      tie (000_003 shows 000 and 003), and no image may be there twice. The split of a shard is in its \
      name (train-00000.h5), or is given with it: train=faces.h5.

      --index keeps what a job must know of the shards before it begins in a hidden file beside them, \
      instead of telling what they hold: of thousands of shards none need be validated at the start then. It \
      counts as long as they have the same sizes and times, and takes 1½ bytes an image, more with masks \
      or compression.

      What is wrong goes to standard error, a line each that names the file (and the row of a \
      shard); the other paths are still looked at. The exit status is 0 if all is well, 65 if \
      something is damaged, 74 if something can't be read. Examples:

        rfm inspect data/train-*.h5
        rfm inspect data/train-*.h5 --sheet train.png
        rfm inspect --splits data/*.h5
        rfm inspect --index data/train-*.h5
        rfm inspect --verify runs/demo/checkpoints/best data/test-00000.h5
      """)

  @Argument(
    help: ArgumentHelp("Files and folders to look at.", valueName: "path"), transform: pathToRead)
  var paths: [String]

  @Flag(help: "Read everything, and verify all checksums and digests.")
  var verify = false

  @Option(
    help: ArgumentHelp("Draw images of the shards into a PNG file.", valueName: "file"),
    transform: pathToWrite)
  var sheet: String?

  @Flag(help: "Verify that no source and no image is in two splits.")
  var splits = false

  @Flag(help: "Keep an index of the shards beside them, for jobs on thousands of shards.")
  var index = false

  @OptionGroup var watchdog: WatchdogOptions

  func run(_ world: Communicator) throws {
    RankStatus.enter(.verifying)
    var status = ExitStatus.done
    if splits { return try compareSplits(world) }
    if index { return try keepIndex(world) }

    for path in paths {
      let meter = Meter(isSpeaking: world.isRoot && verify)
      let inspection = FileInspection(
        of: path, depth: .init(verifies: verify, rank: world.rank, ranks: world.size)
      ) { meter.advance($0, $1, $2) }
      meter.finish()
      // Every rank may have found something in its rows, or all of them the same.
      let found = try world.gather(inspection.problems.joined(separator: "\n"))
      let statuses = try world.gather([inspection.status.rawValue])
      guard let found, let statuses else { continue }
      if !inspection.lines.isEmpty {
        print("\(printable(path, limit: 400)): \(inspection.lines.joined(separator: "\n"))")
      }
      var known = Set<[UInt8]>()
      let limit = 20
      for problem in found.flatMap({ $0.split(separator: "\n").map(String.init) })
      where known.insert(Array(problem.utf8)).inserted && known.count <= limit {
        say(problem)
      }
      if known.count > limit {
        say("\(printable(path, limit: 400)): and \(known.count - limit) more problems")
      }
      if known.isEmpty && verify { print("  verified: everything is as it should be") }
      let worst = statuses.joined().first { $0 != ExitStatus.done.rawValue }
      if status == .done, let worst { status = ExitStatus(rawValue: worst) ?? .internalError }
    }
    if let sheet, world.isRoot, status == .done {
      do {
        let drawn = try ContactSheet(of: paths)
        try PNGCodec.write(drawn.image, to: sheet)
        print(
          "\(printable(sheet, limit: 400)): \(drawn.lines.map { printable($0) }.joined(separator: "; "))"
        )
      } catch {
        say("\(error)")
        status = ExitStatus(ending: error)
      }
    }
    let ending = try world.broadcast(status.rawValue)
    if ending != ExitStatus.done.rawValue { throw ExitCode(ending) }
  }

  private func keepIndex(_ world: Communicator) throws {
    _ = try world.fromRoot {
      let kept = try ShardIndexFile(writing: paths)
      print(
        "\(printable(kept.path, limit: 400)): index of \(kept.images) images in \(kept.shards) shards, "
          + "\(kept.bytes) bytes")
      return []
    }
  }

  private func compareSplits(_ world: Communicator) throws {
    let ending = try world.fromRoot {
      let members = try SplitInspection.Member.all(from: paths)
      var progress: ProgressLine?
      let found = try SplitInspection(members) { done, total in
        RankStatus.progress()
        if progress == nil {
          progress = ProgressLine("comparing images", total: total, items: ("images", 1))
        }
        progress?.update(done)
      }
      progress?.finish()
      for line in found.lines { print(printable(line, limit: 2000)) }
      for problem in found.problems { say(printable(problem, limit: 2000)) }
      if found.problems.isEmpty { print("no source and no image is in two splits") }
      let status: ExitStatus = found.problems.isEmpty ? .done : .badData
      return [UInt8(status.rawValue)]
    }
    if ending != [0] { throw ExitCode(Int32(ending[0])) }
  }

  private func say(_ problem: String) {
    writeToStandardError("rfm: \(problem)\n")
  }

  /// Progress of verifying, begun when its extent is known.
  private final class Meter {
    private let isSpeaking: Bool
    private var progress: ProgressLine?

    init(isSpeaking: Bool) { self.isSpeaking = isSpeaking }

    func advance(_ unit: String, _ done: Int, _ total: Int) {
      RankStatus.progress()
      guard isSpeaking else { return }
      if progress == nil {
        progress = ProgressLine("verifying \(unit)", total: total, items: (unit, 1))
      }
      progress?.update(done)
    }

    func finish() { progress?.finish() }
  }
}

import ArgumentParser
import Evaluation
import MessagePassing
import Reports
import SyntheticFaces

struct AttentionCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "attention",
    abstract: "Write the attention map of every image.",
    discussion: """
      An HDF5 file with `attention`, float32 (images, crop, crop), not normalised, and `logits`, \
      float32 (images, 2), real and fake; both in shard order.

      Example:
        rfm attention --checkpoint runs/demo/checkpoints/best --data 'd/test-*.h5' --output fam.h5
      """)

  @OptionGroup var detector: DetectorOptions
  @OptionGroup var data: DataOptions
  @OptionGroup var watchdog: WatchdogOptions

  @Option(help: "The HDF5 file to write.", transform: pathToWrite)
  var output: String

  @Option(help: "fam: Forgery Attention Map. cam: class activation map, fake minus real.")
  var kind = AttentionKind.fam

  func run(_ communicator: Communicator) throws {
    let count = try AttentionJob.run(
      detector.load(for: data, communicator), data: data.data, kind: kind, output: output,
      batch: detector.workers.batch,
      communicator: communicator, workers: detector.workers.pool(communicator),
      warn: { say("warning: \($0)") })
    if communicator.isRoot { printLines("\(count) maps written to \(output)") }
  }
}

import ArgumentParser
import Evaluation
import Foundations
import MessagePassing

struct CalibrateCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "calibrate",
    abstract: "Fit probabilities of a detector to validation images.",
    discussion: """
      Finds the temperature by which logits are divided before they become probabilities, so that of \
      the images with a probability of 0.9 of being fake nine in ten are, and keeps it in the \
      checkpoint; evaluate and explain use it. A training does the same by itself whenever it \
      validates and saves. Logits, AUC and everything else that depends on the order of the images \
      alone stay as they are.

      Take images that neither the training nor the test has seen, of people who are in neither, with \
      as large a share of fakes as where the probabilities will be used.

      Examples:
        rfm calibrate --checkpoint runs/demo/checkpoints/best --data 'd/validation-*.h5'
        rfm calibrate --checkpoint weights.safetensors --data 'd/validation-*.h5' \\
          --output calibrated.safetensors
      """)

  @OptionGroup var detector: DetectorOptions
  @OptionGroup var data: DataOptions
  @OptionGroup var watchdog: WatchdogOptions

  @Option(
    help: ArgumentHelp(
      "A safetensors file to write the weights with their temperature to. Default: the checkpoint "
        + "keeps it.", valueName: "file"), transform: pathToWrite)
  var output: String?

  func run(_ communicator: Communicator) throws {
    let report = try CalibrationJob.run(
      detector.load(for: data, communicator), data: data.data, output: output,
      batch: detector.workers.batch, communicator: communicator,
      workers: detector.workers.pool(communicator), warn: { say("warning: \($0)") })
    guard let report else { return }
    let calibration = report.calibration
    print("images          \(calibration.real) real, \(calibration.fake) fake")
    print("temperature     \(fixed(calibration.temperature, 4))")
    print(
      "cross-entropy   \(fixed(calibration.lossAfter, 4)), before \(fixed(calibration.lossBefore, 4))"
    )
    print(
      "error           \(fixed(report.errorAfter, 4)), before \(fixed(report.errorBefore, 4)), on these "
        + "images")
    printLines("written to      \(report.path)")
  }
}

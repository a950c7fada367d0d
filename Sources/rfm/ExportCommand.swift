import ArgumentParser
import Configuration
import Evaluation
import MessagePassing

struct ExportCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a detector as ONNX, for ONNX Runtime, OpenVINO and others.",
    discussion: """
      Writes one ONNX file (operator set 17, float32), in place of one that is there. Its input \
      'image' is [N, 3, crop, crop] for any N: RGB, (pixel / 255 - mean) / std, as PyTorch has it. \
      Its output 'logits' is [N, 2], real and fake: the probability of fake is 1 / (1 + exp(real - \
      fake)). The file's metadata say model, crop, mean, std, classes and rfm_version.

      Batch norms are part of the convolutions before them. The crop is part of the file: it has the \
      padding that the network takes there.

      Examples:
        rfm export --checkpoint runs/demo/checkpoints/best --output demo.onnx
        rfm export --checkpoint resnet50.pth --model resnet50 --crop 224 \\
          --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --output resnet50.onnx
      """)

  @OptionGroup var weights: WeightsOptions
  @OptionGroup var watchdog: WatchdogOptions

  @Option(
    help: "The ONNX file to write; its folder is made if it isn't there.", transform: pathToWrite)
  var output: String

  func run(_ communicator: Communicator) throws {
    let report = try ExportJob.run(
      weights.load(communicator), output: output, version: RunVersions.rfm,
      communicator: communicator)
    guard let report else { return }
    print("operators       \(report.operators)")
    print("weights         \(report.bytes) bytes")
    printLines("written to      \(output)")
  }
}

import Checkpoints
import Foundation
import Foundations
import MessagePassing
import Networks

/// Writes a detector as a file that other programs run: ONNX.
public struct ExportJob {
  /// What was written.
  public struct Report: Sendable {
    public let operators: Int
    /// Of all weights.
    public let bytes: Int
  }

  /// What is to be written is among what is read.
  public struct OverwritesWeights: ReportableError {
    let output: String
    let source: String
    public var description: String {
      "--output \(printable(output)) would be written over \(printable(source)), which --checkpoint reads: "
        + "name another file"
    }
    public var exitStatus: ExitStatus { .usage }
  }

  /// Collective. Rank 0 writes and gets the report, the others nil.
  ///
  /// - Parameters:
  ///   - output: the file, in place of one that is there; its folder is made if it isn't there.
  ///   - version: of the program.
  /// - Throws: ``OverwritesWeights``, `WeightsError`, `FileError`, `MPIError`.
  public static func run(
    _ loaded: LoadedDetector, output: String, version: String, communicator: Communicator
  ) throws -> Report? {
    let (written, read) = (Self.resolved(output), Self.resolved(loaded.source))
    if written == read || written.hasPrefix(read + "/") {
      throw OverwritesWeights(output: output, source: loaded.source)
    }
    try JobOutput.makeFolder(DurableFile.folder(of: output), communicator)
    guard communicator.isRoot else { return nil }
    let model = ONNXModel(
      loaded.detector, crop: loaded.crop, version: version,
      metadata: metadata(loaded, version: version))
    try model.write(to: output)
    return Report(operators: model.operatorCount, bytes: model.weightBytes)
  }

  /// A path without links, whether or not there is a file.
  private static func resolved(_ path: String) -> String {
    let url = URL(filePath: path)
    return url.deletingLastPathComponent().resolvingSymlinksInPath()
      .appending(path: url.lastPathComponent).resolvingSymlinksInPath().path
  }

  /// How images are prepared and what the logits are, as rfm's own weights files say it.
  private static func metadata(
    _ loaded: LoadedDetector, version: String
  ) -> [(key: String, value: String)] {
    let texts = loaded.use.metadata
    let keys = ["model", "truncate", "head", "crop", "mean", "std", "classes", "temperature"]
    return keys.compactMap { key in texts[key].map { (key, $0) } }
      + [("rfm_version", version)]
  }
}

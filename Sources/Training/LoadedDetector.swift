import FaceShards
import Foundation
import Networks

/// A detector to apply: its weights and how its input is prepared.
public final class LoadedDetector {
  public let detector: Detector
  /// Height and width of its input in pixels.
  public let crop: Int
  public let mean: Double
  public let std: Double
  /// Where it came from.
  public let source: String
  /// The checkpoint, unless it was a bare weights file.
  public let checkpoint: Checkpoint?

  public var normalisation: PixelNormalisation {
    PixelNormalisation(mean: Float(mean), std: Float(std))
  }

  public init(
    _ detector: Detector, crop: Int, mean: Double, std: Double, source: String,
    checkpoint: Checkpoint? = nil
  ) {
    self.detector = detector
    self.crop = crop
    self.mean = mean
    self.std = std
    self.source = source
    self.checkpoint = checkpoint
  }

  /// Opens a checkpoint folder, or a bare `.safetensors` file.
  ///
  /// - Parameters:
  ///   - path: the folder (or a link to it), or the file.
  ///   - model: what a bare file holds; not looked at for a checkpoint, which says so itself.
  ///   - crop: likewise.
  ///   - warn: told of what the user should know, a line at a time.
  /// - Throws: `CheckpointError`, `SafetensorsError`, `WeightsError`, `FileError`.
  public convenience init(
    opening path: String, model: DetectorName = .xception, crop: Int = 224,
    warn: (String) -> Void
  ) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw FileError(
        operation: "open the checkpoint folder or .safetensors file", path: path, code: ENOENT)
    }
    if !isFolder.boolValue {
      let detector = Detector(model)
      for line in try detector.load(Safetensors.read(path), from: path, seed: 0) { warn(line) }
      self.init(detector, crop: crop, mean: 0.5, std: 0.25, source: path)
      return
    }
    let checkpoint = try Checkpoint(opening: path)
    let state = checkpoint.state.detector
    guard let name = DetectorName(rawValue: state.name) else {
      throw CheckpointError(
        path: path, problem: "holds a detector that this version doesn't know: \(state.name)")
    }
    guard (DetectorName.smallestCrop...4096).contains(state.crop), state.std > 0 else {
      throw CheckpointError(
        path: path, problem: "says crop \(state.crop) and std \(state.std), which can't be")
    }
    let detector = Detector(name)
    for line in try detector.load(checkpoint.model(), from: checkpoint.modelPath, seed: 0) {
      warn(line)
    }
    self.init(
      detector, crop: state.crop, mean: state.mean, std: state.std, source: path,
      checkpoint: checkpoint)
  }
}

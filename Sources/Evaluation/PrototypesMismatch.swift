import Checkpoints
import Foundations

extension PrototypesFile {
  /// What is to be said where prototypes were computed with other weights than those that they are
  /// compared with now: another detector looks elsewhere, and so does the same one at another step.
  /// Nil where they belong together, or the file doesn't tell.
  ///
  /// - Parameter path: the prototypes file.
  public func mismatch(with loaded: LoadedDetector, path: String) -> String? {
    let name = loaded.detector.form.description
    if let model = origin.model, model != name {
      return "\(path): these are prototypes of the detector \(model), not of \(name): what they "
        + "say of methods means little; compute them with this detector (rfm prototypes)"
    }
    if let step = origin.step, let now = loaded.checkpoint?.state.step, step != now {
      return "\(path): these are prototypes of the weights after step \(step), not of those after "
        + "step \(now), so similarities are lower than they could be; compute them with this "
        + "checkpoint (rfm prototypes)"
    }
    return nil
  }

  /// - Throws: ``PrototypesSizeError`` where the maps have not the size of the detector's input.
  public func requireSize(of loaded: LoadedDetector, path: String) throws(PrototypesSizeError) {
    guard prototypes.height == loaded.crop, prototypes.width == loaded.crop else {
      throw PrototypesSizeError(
        path: path, height: prototypes.height, width: prototypes.width, crop: loaded.crop)
    }
  }
}

/// The prototypes' maps have another size than the detector's input.
public struct PrototypesSizeError: ReportableError {
  let path: String
  let height: Int
  let width: Int
  let crop: Int

  public var description: String {
    "\(path): the prototypes have \(height)x\(width) pixels, the detector takes \(crop)x\(crop); "
      + "compute them with this detector (rfm prototypes)"
  }

  public var exitStatus: ExitStatus { .badData }
}

extension DatasetPass.Mapped {
  /// Whether what the detector says of the image, and where it looks, are numbers.
  var isFinite: Bool {
    logits.real.isFinite && logits.fake.isFinite && map.allSatisfy(\.isFinite)
  }
}

/// A detector whose attention can't be told of an image.
public struct NonFiniteMap: ReportableError, Equatable {
  /// The shard.
  let file: String
  /// The image's row there; nil where it is so of all images.
  let row: Int?

  public var description: String {
    "\(file)\(row.map { ", row \($0)" } ?? ""): the detector's attention map "
      + "\(row == nil ? "of every fake image" : "of this image") is not finite, so its weights are "
      + "damaged or too large; rfm inspect --verify looks at them"
  }

  public var exitStatus: ExitStatus { .badData }
}

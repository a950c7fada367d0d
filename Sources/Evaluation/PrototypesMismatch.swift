import Checkpoints
import Foundations

extension PrototypesFile {
  /// What is to be said where prototypes were computed with other weights than those that they are
  /// compared with now: another detector looks elsewhere, and so does the same one at another step.
  /// Nil where they belong together, or the file doesn't tell.
  ///
  /// - Parameter path: the prototypes file.
  public func mismatch(with loaded: LoadedDetector, path: String) -> String? {
    if let step = origin.step, let now = loaded.checkpoint?.state.step, step != now {
      return "\(path): these are prototypes of the weights after step \(step), not of those after "
        + "step \(now), so similarities are lower than they could be; compute them with this "
        + "checkpoint (rfm prototypes)"
    }
    if let weights = origin.weights, weights != loaded.detector.contents.text {
      return "\(path): these are prototypes of other weights\(Self.place(origin)) than those of "
        + "\(printable(loaded.source, limit: 400)), so similarities are lower than they could be; compute "
        + "them with these weights (rfm prototypes)"
    }
    return nil
  }

  private static func place(_ origin: Origin) -> String {
    origin.checkpoint.map { ", \(printable($0, limit: 400))," } ?? ""
  }

  /// - Throws: ``OtherPrototypes`` where the maps have not the size of the detector's input, or
  ///   another network made them: what they say of methods would mean nothing.
  public func require(_ loaded: LoadedDetector, path: String) throws(OtherPrototypes) {
    let (own, crop) = (loaded.detector.form.description, loaded.crop)
    if let model = origin.model, model != own {
      throw OtherPrototypes(
        path: path, problem: "these are prototypes of the detector \(model), not of \(own)")
    }
    guard prototypes.height == crop, prototypes.width == crop else {
      throw OtherPrototypes(
        path: path,
        problem: "the prototypes have \(prototypes.height)x\(prototypes.width) pixels, the "
          + "detector takes \(crop)x\(crop)")
    }
  }
}

/// Prototypes that belong to another detector.
public struct OtherPrototypes: ReportableError {
  let path: String
  let problem: String

  public var description: String {
    "\(path): \(problem); compute them with this detector (rfm prototypes)"
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

import Checkpoints
import Configuration
import Foundations
import Networks

/// The weights that a training begins from: what `rfm train` loads and `rfm train --check` looks at.
enum InitialWeights {
  struct Loaded {
    let file: WeightsFile
    let remarks: [WeightsRemark]
  }

  /// Loads `model.weights` into a detector. A head of another size is replaced by a fresh one, drawn
  /// from `run.seed`.
  ///
  /// - Throws: `WeightsError`, `TensorFileError`, `FileError`, for what does not fit.
  static func load(
    _ path: String, _ configuration: Configuration, into detector: Detector
  ) throws -> Loaded {
    let file = try WeightsFile.read(path)
    let source = printable(file.path, limit: 400)
    let said: WeightsUse
    do throws(WeightsUse.Malformed) {
      said = try WeightsUse(
        metadata: file.metadata,
        // Its size and colours are this training's to choose.
        unless: WeightsUse(
          model: detector.name, crop: configuration.data.crop, mean: configuration.data.mean,
          std: configuration.data.std, classes: configuration.model.classes))
    } catch {
      throw WeightsError(
        description: "\(source): its metadata say \(error.key) '\(printable(error.text))', not "
          + "\(error.wanted): set model.\(error.key)")
    }
    var remarks = file.notes.map { WeightsRemark.note("\(source): \($0)") }
    do {
      remarks += try detector.load(
        file.tensors, from: source, seed: UInt64(configuration.run.seed),
        head: HeadReading(
          classes: configuration.model.classes ?? said.classes ?? .realFake,
          form: configuration.model.head ?? .softmax, isReplaceable: true))
    } catch let error as WeightsError {
      let shapes = Dictionary(
        file.tensors.map { ($0.name, $0.shape) }, uniquingKeysWith: { $1 })
      guard
        let correction = WeightsDescription.correction(
          of: shapes, takenFor: detector.name, setting: "model.name:")
      else { throw error }
      throw WeightsError(description: "\(error); \(correction)")
    }
    // Fine-tuning may well use others: only said.
    let other: WeightsUse?
    do throws(WeightsUse.Malformed) {
      other = try WeightsUse(metadata: file.metadata, unless: WeightsUse())
    } catch {
      other = nil
      if error.key == "model" {
        remarks.append(
          .warning(
            "\(source): its metadata say model '\(printable(error.text))', which is not "
              + "\(error.wanted); this training has model.name \(detector.name.rawValue)"))
      }
    }
    if let before = other?.model, before != detector.name {
      // The same tensors, which another network computes other things with.
      remarks.append(
        .warning(
          "\(source): its metadata say model \(before.rawValue); this training has model.name "
            + "\(detector.name.rawValue), which uses the same tensors otherwise"))
    }
    if let other, other.truncate != nil || other.head == .patch {
      let before = DetectorForm(
        detector.name, truncate: other.truncate, head: other.head?.kind ?? .linear)
      if before != detector.form {
        remarks.append(
          .warning("\(source): its metadata say that it is \(before), not \(detector.form)"))
      }
    }
    for (key, before, now) in [
      ("mean", other?.mean, configuration.data.mean), ("std", other?.std, configuration.data.std),
    ] {
      guard let before, before != now else { continue }
      remarks.append(
        .note("\(source): its metadata say \(key) \(before); this training has data.\(key) \(now)"))
    }
    return Loaded(file: file, remarks: remarks)
  }
}

import Checkpoints
import ForgeryMining
import MessagePassing

/// The prototypes that images are compared with, if there are any.
struct ComparedPrototypes: Sendable {
  let path: String
  let attribution: Attribution
  let calibration: PrototypesFile.Calibration

  /// The kind of cosine that names the method, and below which of them it is called unknown.
  var kind: AttributionKind { calibration.kind }
  var threshold: Double? { calibration.threshold(kind) }

  /// Those of a file that was asked for, or else the checkpoint's own. Collective.
  ///
  /// - Parameter note: told what the user should know of them.
  /// - Returns: nil without a file, and where it holds none.
  /// - Throws: what reading them throws, `OtherPrototypes`, `MPIError`.
  static func find(
    _ asked: String?, _ loaded: LoadedDetector, _ communicator: Communicator,
    note: (String) -> Void
  ) throws -> ComparedPrototypes? {
    guard let path = asked ?? loaded.checkpoint?.prototypesPath else { return nil }
    let file = try PrototypesFile(reading: path, communicator: communicator)
    let prototypes = file.prototypes
    try file.require(loaded, path: path)
    if let mismatch = file.mismatch(with: loaded, path: path) { note(mismatch) }
    guard !prototypes.methods.isEmpty else { return nil }
    return ComparedPrototypes(
      path: path, attribution: Attribution(prototypes), calibration: file.calibration)
  }

  /// What they say of a normalised attention map.
  func attributed(_ normalised: [Float]) -> Explanation.Attributed {
    let cosines = attribution.similarities(normalised)[kind]
    return Explanation.Attributed(
      similarities: zip(attribution.prototypes.methods, cosines).map {
        Explanation.Similarity(method: $0, cosine: $1)
      },
      kind: kind, threshold: threshold)
  }
}

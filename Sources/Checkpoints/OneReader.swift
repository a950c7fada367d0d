import ForgeryMining
import Foundation
import Foundations
import Images
import MessagePassing
import Networks

// What rank 0 alone reads, so that a file system is asked once, however many ranks there are, and all have
// the same. What it fails with, all ranks fail with.

extension LoadedDetector {
  /// Opens a checkpoint folder or bare weights on rank 0, and hands what is in them to all ranks.
  /// Collective.
  ///
  /// - Parameters:
  ///   - asked: how bare weights are to be used.
  ///   - tell: told of what the user should know, on rank 0.
  /// - Throws: what ``init(opening:asked:tell:)`` throws; `RankFailure` on the other ranks; `MPIError`.
  public convenience init(
    opening path: String, asked: WeightsUse = WeightsUse(), communicator: Communicator,
    tell: (WeightsRemark) -> Void
  ) throws {
    var read: LoadedDetector?
    let told = try communicator.fromRoot {
      let loaded = try LoadedDetector(opening: path, asked: asked, tell: tell)
      read = loaded
      return try JSONEncoder().encode(Description(loaded)).bytes
    }
    let description = try JSONDecoder().decode(Description.self, from: Data(told))
    let loaded = try read ?? description.emptyDetector()
    try communicator.broadcast(loaded.detector.values)
    try communicator.broadcast(loaded.detector.runningStatistics)
    self.init(
      loaded.detector, crop: loaded.crop, mean: loaded.mean, std: loaded.std,
      source: loaded.source, checkpoint: loaded.checkpoint,
      preprocessing: loaded.preprocessing?.text, calibration: loaded.calibration)
  }

  /// All of it but for the weights, as it travels.
  private struct Description: Codable {
    let model: String
    let truncate: String?
    let head: String
    let crop: Int
    let mean: [Double]
    let std: [Double]
    let source: String
    let preprocessing: String?
    /// Of the calibration; the rest of it is in a checkpoint's state.
    let temperature: Double?
    /// The checkpoint's folder, and its `state.json`.
    let folder: String?
    let state: String?

    init(_ loaded: LoadedDetector) throws {
      model = loaded.detector.form.name.rawValue
      truncate = loaded.detector.form.truncate
      head = loaded.detector.form.head.rawValue
      crop = loaded.crop
      mean = loaded.mean.all
      std = loaded.std.all
      source = loaded.source
      preprocessing = loaded.preprocessing?.text
      temperature = loaded.calibration?.temperature
      folder = loaded.checkpoint?.path
      state = try loaded.checkpoint.map { try Checkpoint.text(of: $0.state, files: $0.files) }
    }

    func emptyDetector() throws -> LoadedDetector {
      guard let name = DetectorName(rawValue: model), let head = HeadKind(rawValue: head),
        let mean = ChannelValues(mean), let std = ChannelValues(std)
      else { preconditionFailure("rank 0 tells of a detector that there is, not of \(self)") }
      let checkpoint = try folder.map { try Checkpoint(path: $0, state: Array((state ?? "").utf8)) }
      return LoadedDetector(
        Detector(DetectorForm(name, truncate: truncate, head: head)), crop: crop,
        mean: mean, std: std, source: source, checkpoint: checkpoint,
        preprocessing: preprocessing,
        calibration: checkpoint?.state.detector.calibration
          ?? temperature.map { Calibration(temperature: $0) })
    }
  }
}

extension PrototypesFile {
  /// Reads a file on rank 0, and hands its prototypes, their origin and calibration to all ranks. What else
  /// it holds, rank 0 has. Collective.
  ///
  /// - Throws: what ``init(reading:)`` throws; `RankFailure` on the other ranks; `MPIError`.
  public init(reading path: String, communicator: Communicator) throws {
    var read: PrototypesFile?
    let told = try communicator.fromRoot {
      let file = try PrototypesFile(reading: path)
      read = file
      return try JSONEncoder().encode(
        Description(
          methods: file.prototypes.methods, height: file.prototypes.height,
          width: file.prototypes.width, counts: file.prototypes.counts, origin: file.origin,
          calibration: file.calibration)
      ).bytes
    }
    let maps = try communicator.broadcast(read?.prototypes.maps ?? [])
    if let read {
      self = read
      return
    }
    let description = try JSONDecoder().decode(Description.self, from: Data(told))
    self.init(
      Prototypes(
        methods: description.methods, height: description.height, width: description.width,
        maps: maps, counts: description.counts),
      origin: description.origin, calibration: description.calibration)
  }

  /// All of it but for the maps, as it travels.
  private struct Description: Codable {
    let methods: [String]
    let height: Int
    let width: Int
    let counts: [Int64]
    let origin: Origin
    let calibration: Calibration
  }
}

extension Data {
  fileprivate var bytes: [UInt8] { Array(self) }
}

import Configuration
import Foundations
import Images
import MessagePassing
import Networks

/// A checkpoint that can't be used, or a place for one, and why.
public struct CheckpointError: ReportableError, Equatable {
  public let path: String
  public let problem: String

  package init(path: String, problem: String) {
    self.path = path
    self.problem = problem
  }

  public var description: String { "\(printable(path, limit: 400)): \(problem)" }
  public var exitStatus: ExitStatus { .badData }
}

/// A checkpoint that another rfm wrote, in a format that this one does not know. It may be whole.
public struct UnknownCheckpointVersion: ReportableError, Equatable {
  let path: String
  let version: Int
  let known: Int

  public var description: String {
    "\(printable(path, limit: 400)): is of version \(version), this rfm reads version \(known): use "
      + "the rfm that wrote it"
  }

  public var exitStatus: ExitStatus { .badData }
}

/// What `state.json` tells: where the training stands, and what detector it is.
public struct CheckpointState: Sendable, Equatable {
  /// Updates made.
  public var step: Int
  /// Passes over the training data that are complete.
  public var epoch: Int
  /// Samples of the current epoch's order that have been used.
  public var position: Int
  public var seed: Int
  /// See `Configuration.digest`.
  public var configurationDigest: String
  /// The number of ranks that made it: a resumed run with another number continues the same order
  /// of samples, but is not the same to the last bit.
  public var ranks: Int
  public var detector: Detector
  /// What was measured at this step; null where a figure is not defined.
  public var metrics: [JSON.Member]
  /// Whatever else the training must remember.
  public var details: [JSON.Member]

  /// Saved at once on a request to stop: what was due at this step besides (validation, prototypes of
  /// validation images) is still to be done.
  public var hasWorkPending: Bool {
    JSON.object(details)[Self.workPendingName] == .boolean(true)
  }
  package static let workPendingName = "work_pending"

  /// What a reader must know to run the weights.
  public struct Detector: Sendable, Equatable {
    /// As in `model.name`.
    public var name: String
    public var crop: Int
    public var mean: ChannelValues
    public var std: ChannelValues

    /// As in `model.truncate`, and whether `model.head` is patch.
    public var truncate: String?
    public var head: HeadKind
    /// How the faces that it was trained on were found and cut out, as their shards say it (JSON); nil
    /// where they don't.
    public var preprocessing: String?
    /// Nil where no validation images said it.
    public var calibration: Calibration?

    public init(
      name: String, crop: Int, mean: ChannelValues, std: ChannelValues, truncate: String? = nil,
      head: HeadKind = .linear, preprocessing: String? = nil, calibration: Calibration? = nil
    ) {
      self.preprocessing = preprocessing
      self.calibration = calibration
      self.name = name
      self.truncate = truncate
      self.head = head
      self.crop = crop
      self.mean = mean
      self.std = std
    }

    public init(
      _ configuration: Configuration, preprocessing: String? = nil, calibration: Calibration? = nil
    ) {
      self.init(
        name: configuration.model.name.rawValue, crop: configuration.data.crop,
        mean: configuration.data.mean, std: configuration.data.std,
        truncate: configuration.model.truncate, head: configuration.model.form.head,
        preprocessing: preprocessing, calibration: calibration)
    }

    /// nil where this version knows no such network.
    public var form: DetectorForm? {
      guard let name = DetectorName(rawValue: name) else { return nil }
      let form = DetectorForm(name, truncate: truncate, head: head)
      return form.problem == nil ? form : nil
    }
  }

  public init(
    step: Int, epoch: Int, position: Int, seed: Int, configurationDigest: String, ranks: Int,
    detector: Detector, metrics: [JSON.Member] = [], details: [JSON.Member] = []
  ) {
    self.step = step
    self.epoch = epoch
    self.position = position
    self.seed = seed
    self.configurationDigest = configurationDigest
    self.ranks = ranks
    self.detector = detector
    self.metrics = metrics
    self.details = details
  }
}

/// One finished checkpoint, a folder:
///
/// | | |
/// | --- | --- |
/// | `model.safetensors` | weights and running statistics |
/// | `average.safetensors` | their moving average, where the training has one |
/// | `optimizer.safetensors` | what the optimizer remembers |
/// | `prototypes.h5` | the prototypes, where they were computed |
/// | `state.json` | ``CheckpointState``, and the SHA-256 of every other file and of itself |
public struct Checkpoint: Sendable, Equatable {
  public let path: String
  public let state: CheckpointState
  /// SHA-256 of every file besides `state.json`, by name.
  public let files: [String: String]

  public var modelPath: String { "\(path)/\(Self.modelName)" }
  public var optimizerPath: String { "\(path)/\(Self.optimizerName)" }
  /// nil where the training has no moving average of its weights.
  public var averagePath: String? {
    files[Self.averageName] == nil ? nil : "\(path)/\(Self.averageName)"
  }
  /// nil where no prototypes were computed.
  public var prototypesPath: String? {
    files[Self.prototypesName] == nil ? nil : "\(path)/\(Self.prototypesName)"
  }

  package static let modelName = "model.safetensors"
  static let averageName = "average.safetensors"
  static let optimizerName = "optimizer.safetensors"
  static let prototypesName = "prototypes.h5"
  package static let stateName = "state.json"
  private static let format = "rfm-checkpoint"
  private static let version = 1

  /// Reads `state.json` and compares every file with its digest.
  ///
  /// - Parameter path: the folder, or a link to it.
  /// - Throws: ``CheckpointError``, ``UnknownCheckpointVersion``, `FileError`.
  public init(opening path: String) throws {
    try self.init(readingStateOf: path)
    for (name, digest) in files.sorted(by: { $0.key < $1.key }) {
      let file = "\(path)/\(name)"
      guard try SHA256.hexadecimal(ofFile: file) == digest else {
        throw CheckpointError(
          path: file, problem: "is damaged: it does not have the digest noted in \(Self.stateName)")
      }
      RankStatus.progress()
    }
  }

  /// The weights and running statistics.
  public func model() throws -> [NamedTensor] { try Safetensors.read(modelPath) }

  /// What the optimizer remembers.
  public func optimizer() throws -> [NamedTensor] { try Safetensors.read(optimizerPath) }

  // MARK: state.json

  /// Reads `state.json` alone.
  package init(readingStateOf path: String) throws {
    let statePath = "\(path)/\(Self.stateName)"
    let reader = try FileReader(opening: statePath)
    guard reader.size <= 16 << 20 else {
      throw CheckpointError(path: statePath, problem: "is too large (\(reader.size) bytes)")
    }
    var bytes = [UInt8](repeating: 0, count: reader.size)
    let count = try bytes.withUnsafeMutableBytes { try reader.read(into: $0, at: 0) }
    try self.init(path: path, state: Array(bytes[..<count]))
  }

  /// A checkpoint of which another rank has read `state.json`.
  ///
  /// - Parameter state: what the file holds.
  init(path: String, state bytes: [UInt8]) throws {
    let statePath = "\(path)/\(Self.stateName)"
    func failure(_ problem: String) -> CheckpointError {
      CheckpointError(path: statePath, problem: problem)
    }
    let json: JSON
    do {
      json = try JSON(parsing: bytes)
    } catch let error as JSON.Malformed {
      throw failure("is damaged: it \(error)")
    }
    guard json["format"] == .text(Self.format) else {
      throw failure("is not the state of a checkpoint")
    }
    guard let version = json["version"]?.integerValue else { throw failure("has no version") }
    guard var members = json.members, let digest = members.popLast(), digest.name == "digest",
      digest.value == .text(SHA256.hexadecimal(of: Array(try JSON.object(members).line().utf8)))
    else { throw failure("is damaged: it does not have the digest noted in it") }
    guard version == Self.version else {
      throw UnknownCheckpointVersion(path: statePath, version: version, known: Self.version)
    }

    func integer(_ name: String, from lowest: Int = 0) throws -> Int {
      guard let value = json[name]?.integerValue, value >= lowest else {
        throw failure("has no valid '\(name)'")
      }
      return value
    }
    guard let detector = json["detector"], let name = detector["name"]?.textValue,
      let crop = detector["crop"]?.integerValue, (1...1 << 16).contains(crop),
      let mean = detector["mean"].flatMap(ChannelValues.init),
      let std = detector["std"].flatMap(ChannelValues.init), std.all.allSatisfy({ $0 > 0 }),
      let head = HeadKind(rawValue: detector["head"]?.textValue ?? HeadKind.linear.rawValue)
    else { throw failure("has no valid 'detector'") }
    let calibration = detector["calibration"].map { Calibration($0) }
    if case .some(.none) = calibration { throw failure("has no valid 'calibration'") }
    guard let configurationDigest = json["config_digest"]?.textValue else {
      throw failure("has no 'config_digest'")
    }
    guard let metrics = json["metrics"]?.members else { throw failure("has no 'metrics'") }
    guard let details = json["details"]?.members else { throw failure("has no 'details'") }
    guard let listed = json["files"]?.members else { throw failure("has no 'files'") }
    var files: [String: String] = [:]
    for file in listed {
      // Never a path that leads elsewhere; by bytes, since a mark makes another character of a "/".
      guard file.name != "", file.name != ".", file.name != "..",
        !file.name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 }),
        let digest = file.value.textValue
      else { throw failure("lists a file '\(printable(file.name))' that can't be in a checkpoint") }
      files[file.name] = digest
    }
    for name in [Self.modelName, Self.optimizerName] where files[name] == nil {
      throw failure("does not list \(name)")
    }
    self.path = path
    self.files = files
    state = CheckpointState(
      step: try integer("step"), epoch: try integer("epoch"), position: try integer("position"),
      seed: try integer("seed", from: .min), configurationDigest: configurationDigest,
      ranks: try integer("ranks", from: 1),
      detector: .init(
        name: name, crop: crop, mean: mean, std: std, truncate: detector["truncate"]?.textValue,
        head: head, preprocessing: detector["preprocessing"]?.textValue,
        calibration: calibration ?? nil), metrics: metrics,
      details: details)
  }

  /// Of a network that is not whole, what is not, too; what its shards said of their faces; and its
  /// calibration.
  private static func detectorMembers(_ detector: CheckpointState.Detector) -> [JSON.Member] {
    var members: [JSON.Member] = [
      .init("name", .text(detector.name)), .init("crop", .integer(detector.crop)),
      .init("mean", detector.mean.json), .init("std", detector.std.json),
    ]
    if let stage = detector.truncate { members.append(.init("truncate", .text(stage))) }
    if detector.head == .patch { members.append(.init("head", .text(detector.head.rawValue))) }
    if let preprocessing = detector.preprocessing {
      members.append(.init("preprocessing", .text(preprocessing)))
    }
    if let calibration = detector.calibration {
      members.append(.init("calibration", calibration.json))
    }
    return members
  }

  /// The text of `state.json`.
  static func text(
    of state: CheckpointState, files: [String: String], version: Int = version
  ) throws -> String {
    var members: [JSON.Member] = [
      .init("format", .text(format)),
      .init("version", .integer(version)),
      .init("step", .integer(state.step)),
      .init("epoch", .integer(state.epoch)),
      .init("position", .integer(state.position)),
      .init("seed", .integer(state.seed)),
      .init("config_digest", .text(state.configurationDigest)),
      .init("ranks", .integer(state.ranks)),
      .init("detector", .object(detectorMembers(state.detector))),
      .init("metrics", .object(state.metrics)),
      .init("details", .object(state.details)),
      .init(
        "files",
        .object(files.sorted { $0.key < $1.key }.map { .init($0.key, .text($0.value)) })),
    ]
    let digest = SHA256.hexadecimal(of: Array(try JSON.object(members).line().utf8))
    members.append(.init("digest", .text(digest)))
    return try JSON.object(members).page()
  }
}

import ForgeryMining
import Foundation
import Foundations
import HierarchicalData

/// A prototypes file (HDF5): the prototypes of a detector, what they were computed from, and, where
/// it is known, how well they attribute images.
///
/// | name | type | shape | meaning |
/// | --- | --- | --- | --- |
/// | `prototypes` | float32 | [M, H, W] | mean normalised Forgery Attention Maps |
/// | `counts` | int64 | [M] | of how many images each is the mean |
/// | `method_names` | string | [M] | the manipulation methods, without "real" |
/// | `mean_faces` | uint8 | [M, H, W, 3] | optional: means of the images, RGB |
///
/// Root attributes: `format` = "rfm-prototypes", `version` = 1; of ``Origin`` `model`, `checkpoint`,
/// `step`, `weights`, `data`, `data_patterns`, `images_per_method`; of ``Calibration`` `validation_accuracy_plain`,
/// `validation_accuracy_centred`, `threshold_plain`, `threshold_centred`, `auroc_plain`,
/// `auroc_centred`. A reader needs none of the latter two groups. A training's file has the epoch's prototypes too,
/// see ``EpochPrototypes``.
public struct PrototypesFile: Equatable, Sendable {
  /// What prototypes were computed from; what is not known is nil.
  public struct Origin: Equatable, Sendable, Codable {
    /// The detector's name.
    public var model: String?
    /// The checkpoint or weights file.
    public var checkpoint: String?
    /// The training step of the checkpoint.
    public var step: Int?
    /// ``Networks/Detector/contents`` in hexadecimal: tells two trainings apart, and two steps of one.
    public var weights: String?
    /// The shards, as the pattern or patterns that name them, for people: separated by commas.
    public var data: String?
    /// The same patterns one by one: a name may hold a comma. Nil in older files.
    public var patterns: [String]?
    /// How many images of each method were asked for.
    public var imagesPerMethod: Int?

    /// - Parameter data: nil for that of `patterns`.
    public init(
      model: String? = nil, checkpoint: String? = nil, step: Int? = nil, weights: String? = nil,
      data: String? = nil, patterns: [String]? = nil, imagesPerMethod: Int? = nil
    ) {
      self.model = model
      self.checkpoint = checkpoint
      self.step = step
      self.weights = weights
      self.data = data ?? patterns?.joined(separator: ", ")
      self.patterns = patterns
      self.imagesPerMethod = imagesPerMethod
    }
  }

  /// How well the prototypes attribute validation images, and what is chosen from it.
  public struct Calibration: Equatable, Sendable, Codable {
    /// Closed-set accuracy of plain attribution.
    public var plainAccuracy: Double?
    /// Closed-set accuracy of centred attribution.
    public var centredAccuracy: Double?
    /// Plain similarity below which a method is called unknown.
    public var plainThreshold: Double?
    /// Centred similarity below which a method is called unknown.
    public var centredThreshold: Double?
    /// How well plain similarity tells known methods from unknown ones, whatever the threshold: area
    /// under the ROC curve, each method taken for unknown in turn.
    public var plainAreaUnderROC: Double?
    /// The same of centred similarity.
    public var centredAreaUnderROC: Double?

    public init(
      plainAccuracy: Double? = nil, centredAccuracy: Double? = nil, plainThreshold: Double? = nil,
      centredThreshold: Double? = nil, plainAreaUnderROC: Double? = nil,
      centredAreaUnderROC: Double? = nil
    ) {
      self.plainAccuracy = plainAccuracy
      self.centredAccuracy = centredAccuracy
      self.plainThreshold = plainThreshold
      self.centredThreshold = centredThreshold
      self.plainAreaUnderROC = plainAreaUnderROC
      self.centredAreaUnderROC = centredAreaUnderROC
    }

    /// The kind of attribution to use where only one is wanted.
    public var kind: AttributionKind {
      .moreAccurate(plain: plainAccuracy, centred: centredAccuracy)
    }

    /// The rejection threshold of a kind.
    public func threshold(_ kind: AttributionKind) -> Double? {
      switch kind {
      case .plain: plainThreshold
      case .centred: centredThreshold
      }
    }
  }

  /// The value of the root attribute `format`.
  public static let format = "rfm-prototypes"
  /// The value of the root attribute `version`.
  public static let version: Int64 = 1
  /// The most methods and the longest side of a map that are read.
  static let methodLimit = 256
  static let sideLimit = 1 << 14

  public var prototypes: Prototypes
  public var origin: Origin
  public var calibration: Calibration
  /// Of the same methods as the prototypes, in their order and of their size; nil where not known.
  public var meanFaces: MeanFaces?
  /// What the training gathered in the epoch under way; nil where there was nothing.
  public var epoch: EpochPrototypes?

  public init(
    _ prototypes: Prototypes, origin: Origin = Origin(), calibration: Calibration = Calibration(),
    meanFaces: MeanFaces? = nil, epoch: EpochPrototypes? = nil
  ) {
    if let meanFaces {
      precondition(
        meanFaces.methods == prototypes.methods && meanFaces.height == prototypes.height
          && meanFaces.width == prototypes.width,
        "PrototypesFile: expected mean faces of the prototypes' methods and size")
    }
    self.prototypes = prototypes
    self.epoch = epoch
    self.origin = origin
    self.calibration = calibration
    self.meanFaces = meanFaces
  }

  // MARK: Writing

  /// Writes the file beside its final name, flushes it to the disk and renames it.
  ///
  /// - Throws: `HDF5Error`, `FileError`. What stood at `path` before is then untouched.
  public func write(to path: String) throws {
    try DurableFile.write(through: path) { try writeContents(to: $0) }
  }

  private func writeContents(to path: String) throws {
    let file = try HDF5File.create(path)
    let methods = prototypes.methods.count
    // HDF5 has no empty chunks: without methods the dataset is empty and in one piece.
    let layout =
      methods == 0
      ? HDF5Layout.contiguous
      : HDF5Layout(chunk: [1, prototypes.height, prototypes.width], fletcher32: true)
    try file.write(
      "prototypes", prototypes.maps, shape: [methods, prototypes.height, prototypes.width],
      layout: layout)
    try file.write("counts", prototypes.counts)
    try file.write("method_names", prototypes.methods)
    if let meanFaces {
      let (height, width) = (meanFaces.height, meanFaces.width)
      try file.write(
        "mean_faces", meanFaces.images, shape: [methods, height, width, 3],
        layout: methods == 0
          ? .contiguous : HDF5Layout(chunk: [1, height, width, 3], fletcher32: true))
    }
    if let epoch, !epoch.methods.isEmpty { try epoch.write(to: file) }
    try file.setAttribute("format", .string(Self.format))
    try file.setAttribute("version", .integer(Self.version))
    let known: [(String, HDF5Value?)] = [
      ("model", origin.model.map { .string($0) }),
      ("checkpoint", origin.checkpoint.map { .string($0) }),
      ("step", origin.step.map { .integer(Int64($0)) }),
      ("weights", origin.weights.map { .string($0) }),
      ("data", origin.data.map { .string($0) }),
      ("data_patterns", origin.patterns.map { .strings($0) }),
      ("images_per_method", origin.imagesPerMethod.map { .integer(Int64($0)) }),
      ("validation_accuracy_plain", calibration.plainAccuracy.map { .number($0) }),
      ("validation_accuracy_centred", calibration.centredAccuracy.map { .number($0) }),
      ("threshold_plain", calibration.plainThreshold.map { .number($0) }),
      ("threshold_centred", calibration.centredThreshold.map { .number($0) }),
      ("auroc_plain", calibration.plainAreaUnderROC.map { .number($0) }),
      ("auroc_centred", calibration.centredAreaUnderROC.map { .number($0) }),
    ]
    for (name, value) in known {
      if let value { try file.setAttribute(name, value) }
    }
    try file.close()
  }

  // MARK: Reading

  /// Reads a file and checks everything that attribution relies on.
  ///
  /// - Throws: `HDF5Error` for a file that can't be opened or read, ``PrototypesFileError`` for one
  ///   that holds something else.
  public init(reading path: String) throws {
    func refuse(_ reason: String) -> PrototypesFileError {
      PrototypesFileError(path: path, reason: reason)
    }
    let file = try HDF5File(reading: path)
    guard let format = try file.attribute("format") else {
      throw refuse("it has no attribute \"format\": it is not a prototypes file")
    }
    guard format == .string(Self.format) else {
      throw refuse("its format is \"\(format)\", not \"\(Self.format)\"")
    }
    guard try file.attribute("version") == .integer(Self.version) else {
      let found = try file.attribute("version").map { "\($0)" } ?? "missing"
      throw refuse("its version is \(found), this program reads version \(Self.version)")
    }
    let maps = try file.dataset("prototypes")
    let shape = maps.shape
    guard shape.count == 3, case .floatingPoint = maps.type else {
      throw refuse("prototypes is \(maps.type) \(shape), expected float32 [methods, height, width]")
    }
    guard
      shape[0] <= Self.methodLimit && (1...Self.sideLimit).contains(shape[1])
        && (1...Self.sideLimit).contains(shape[2])
    else { throw refuse("prototypes has an impossible shape, \(shape)") }
    let countsDataset = try file.dataset("counts")
    guard countsDataset.shape == [shape[0]], case .integer = countsDataset.type else {
      throw refuse(
        "counts is \(countsDataset.type) \(countsDataset.shape), expected int64 [\(shape[0])]")
    }
    let counts = try countsDataset.readAll(as: Int64.self)
    guard counts.allSatisfy({ $0 >= 0 }) else { throw refuse("counts holds a negative number") }
    let names = try file.dataset("method_names").readStrings(limit: 1 << 20)
    guard names.count == shape[0] else {
      throw refuse("method_names has \(names.count) names for \(shape[0]) prototypes")
    }
    guard Set(names).count == names.count && !names.contains("") else {
      throw refuse("method_names has an empty name, or one twice")
    }
    let values = try maps.readAll(as: Float.self)
    if let index = values.firstIndex(where: { !$0.isFinite }) {
      let name = names[index / (shape[1] * shape[2])]
      throw refuse("the prototype of \"\(name)\" holds a value that is not finite")
    }
    prototypes = Prototypes(
      methods: names, height: shape[1], width: shape[2], maps: values, counts: counts)
    if try file.names().contains("mean_faces") {
      let faces = try file.dataset("mean_faces")
      guard faces.shape == shape + [3], faces.type == .uint8 else {
        throw refuse(
          "mean_faces is \(faces.type) \(faces.shape), expected uint8 \(shape + [3])")
      }
      meanFaces = MeanFaces(
        methods: names, height: shape[1], width: shape[2],
        images: try faces.readAll(as: UInt8.self))
    }

    func string(_ name: String) throws -> String? {
      if case .string(let value)? = try file.attribute(name) { value } else { nil }
    }
    func strings(_ name: String) throws -> [String]? {
      if case .strings(let values)? = try file.attribute(name) { values } else { nil }
    }
    func integer(_ name: String) throws -> Int? {
      if case .integer(let value)? = try file.attribute(name) { Int(value) } else { nil }
    }
    func number(_ name: String) throws -> Double? {
      if case .number(let value)? = try file.attribute(name) { value } else { nil }
    }
    origin = Origin(
      model: try string("model"), checkpoint: try string("checkpoint"), step: try integer("step"),
      weights: try string("weights"), data: try string("data"),
      patterns: try strings("data_patterns"),
      imagesPerMethod: try integer("images_per_method"))
    calibration = Calibration(
      plainAccuracy: try number("validation_accuracy_plain"),
      centredAccuracy: try number("validation_accuracy_centred"),
      plainThreshold: try number("threshold_plain"),
      centredThreshold: try number("threshold_centred"),
      plainAreaUnderROC: try number("auroc_plain"),
      centredAreaUnderROC: try number("auroc_centred"))
    epoch = try EpochPrototypes(reading: file, refuse: refuse)
  }
}

/// A file that holds no prototypes, or not such as can be used.
public struct PrototypesFileError: ReportableError, Equatable {
  public let path: String
  public let reason: String

  public var description: String { "\(path): \(reason)" }
  public var exitStatus: ExitStatus { .badData }
}

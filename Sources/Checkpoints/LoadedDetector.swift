import FaceShards
import Foundation
import Foundations
import Images
import MessagePassing
import Networks

/// A detector to apply: its weights and how its input is prepared.
public final class LoadedDetector {
  public let detector: Detector
  /// Height and width of its input in pixels.
  public let crop: Int
  public let mean: ChannelValues
  public let std: ChannelValues
  /// Where it came from.
  public let source: String
  /// The checkpoint, unless it was bare weights.
  public let checkpoint: Checkpoint?
  /// How the faces that it was trained on were cut out; nil where nothing says it.
  public let preprocessing: ShardPreprocessing?
  /// What makes probabilities of its logits; nil where it is not calibrated.
  public let calibration: Calibration?
  /// Whether it is applied to faces that were cut out otherwise, too.
  public var takesAnyPreprocessing = false

  /// SHA-256 of the file that the weights are from; nil where they are no checkpoint's.
  public var weightsDigest: String? { checkpoint?.files[Checkpoint.modelName] }

  public var normalisation: PixelNormalisation { PixelNormalisation(mean: mean, std: std) }

  public init(
    _ detector: Detector, crop: Int, mean: ChannelValues, std: ChannelValues, source: String,
    checkpoint: Checkpoint? = nil, preprocessing: String? = nil, calibration: Calibration? = nil
  ) {
    self.calibration = calibration
    self.preprocessing = preprocessing.map { ShardPreprocessing($0) }
    self.detector = detector
    self.crop = crop
    self.mean = mean
    self.std = std
    self.source = source
    self.checkpoint = checkpoint
  }

  /// An option that says other than the checkpoint.
  struct Contradiction: ReportableError {
    let option: String
    let path: String
    let known: String

    var description: String {
      "\(option) contradicts the checkpoint \(printable(path, limit: 400)), which says \(known): leave it "
        + "out, or name the checkpoint's model.safetensors"
    }
    var exitStatus: ExitStatus { .usage }
  }

  /// Bare weights that are said to be a network which there is not.
  struct UnknownForm: ReportableError {
    let source: String
    /// What says so: an option, or else the file.
    let option: String?
    let key: String
    let text: String

    var description: String {
      "\(source): \(option.map { "\($0) " } ?? "\(key) of its metadata ")\(text)"
    }
    var exitStatus: ExitStatus { option == nil ? .badData : .usage }
  }

  /// Opens a checkpoint folder, or bare weights (see `WeightsFile`): only such as have a head, which is
  /// never made up here.
  ///
  /// - Parameters:
  ///   - path: the folder (or a link to it), or the file.
  ///   - asked: how bare weights are to be used; what it leaves open they say in their metadata, or it
  ///     is assumed and said. A checkpoint says everything itself.
  ///   - tell: told of what the user should know.
  /// - Throws: `CheckpointError`, `TensorFileError`, `TensorFileError`, `WeightsError`, `FileError`,
  ///   ``Contradiction``.
  public convenience init(
    opening path: String, asked: WeightsUse = WeightsUse(), tell: (WeightsRemark) -> Void
  ) throws {
    if FileManager.default.fileExists(atPath: "\(path)/state.json") {
      try self.init(checkpoint: path, asked: asked)
    } else {
      try self.init(bare: path, asked: asked, tell: tell)
    }
  }

  private convenience init(checkpoint path: String, asked: WeightsUse) throws {
    let checkpoint = try Checkpoint(opening: path)
    let state = checkpoint.state.detector
    guard let form = state.form else {
      throw CheckpointError(
        path: path,
        problem: "holds a detector that this version doesn't know: \(state.name)"
          + (state.truncate.map { " up to \($0)" } ?? ""))
    }
    let name = form.name
    guard name.crops.contains(state.crop),
      state.std.all.allSatisfy({ Float($0) > 0 })
    else {
      throw CheckpointError(
        path: path, problem: "says crop \(state.crop) and std \(state.std), which can't be")
    }
    for (option, isSame, known) in [
      ("--model \(asked.model?.rawValue ?? "")", asked.model ?? name == name, name.rawValue),
      ("--crop \(asked.crop ?? 0)", asked.crop ?? state.crop == state.crop, "\(state.crop)"),
      ("--mean \(asked.mean ?? 0)", asked.mean ?? state.mean == state.mean, "\(state.mean)"),
      ("--std \(asked.std ?? 0)", asked.std ?? state.std == state.std, "\(state.std)"),
      ("--classes fake,real", asked.classes != .fakeReal, ClassOrder.realFake.rawValue),
      (
        "--head \(asked.head?.rawValue ?? "")",
        asked.head.map { $0 != .sigmoid && $0.kind == form.head } ?? true,
        form.head == .patch ? HeadForm.patch.rawValue : HeadForm.softmax.rawValue
      ),
      (
        "--truncate \(asked.truncate ?? "")", asked.truncate ?? form.truncate == form.truncate,
        form.truncate ?? "nothing of it"
      ),
    ] where !isSame {
      throw Contradiction(option: option, path: path, known: known)
    }
    let detector = Detector(form)
    try detector.load(checkpoint.model(), from: checkpoint.modelPath, seed: 0)
    self.init(
      detector, crop: state.crop, mean: state.mean, std: state.std, source: path,
      checkpoint: checkpoint, preprocessing: state.preprocessing,
      calibration: state.calibration)
  }

  private convenience init(
    bare path: String, asked: WeightsUse, tell: (WeightsRemark) -> Void
  ) throws {
    let file = try WeightsFile.read(path)
    let source = printable(file.path, limit: 400)
    for note in file.notes { tell(.note("\(source): \(note)")) }
    let said: WeightsUse
    do throws(WeightsUse.Malformed) {
      said = try WeightsUse(metadata: file.metadata, unless: asked)
    } catch {
      throw WeightsError(
        description: "\(source): its metadata say \(error.key) '\(printable(error.text))', not "
          + "\(error.wanted): say it with \(error.option)")
    }
    let isOverruled = Self.tellOverruled(file.metadata, asked, source: source, tell)
    let shapes = Dictionary(
      file.tensors.map { ($0.name, $0.shape) }, uniquingKeysWith: { $1 })
    let (truncate, headForm) = (asked.truncate ?? said.truncate, asked.head ?? said.head)
    let fitting = WeightsDescription.all(
      of: shapes, truncate: truncate, head: headForm?.kind ?? .linear)
    // Their tensors don't tell which it is, and other figures would come of another.
    if asked.model ?? said.model == nil, fitting.count > 1 {
      throw WeightsError(
        description: "\(source): its tensors are those of "
          + "\(WeightsDescription.list(fitting.map(\.model.rawValue))), which compute other things "
          + "with them, and it does not say which it is: say it with --model")
    }
    let name =
      asked.model ?? said.model ?? fitting.first?.model
      ?? WeightsDescription.all(of: shapes).first?.model
      ?? WeightsDifference(nearestTo: shapes)?.model ?? .xception
    if headForm == nil, let head = fitting.first(where: { $0.model == name })?.head,
      shapes[head.name + ".weight"]?.count == 4
    {
      throw WeightsError(
        description: "\(source): its head \(printable(head.name)) is a 1×1 convolution, and "
          + "nothing says what it stands behind: say --head patch if it gives logits at each position, or "
          + "--head linear if it stands behind the average of the last map")
    }
    let form = DetectorForm(name, truncate: truncate, head: headForm?.kind ?? .linear)
    if let problem = form.problem {
      let isAsked = problem.concernsHead ? asked.head != nil : asked.truncate != nil
      let key = problem.concernsHead ? "head" : "truncate"
      throw UnknownForm(
        source: source, option: isAsked ? "--\(key)" : nil, key: key, text: problem.text)
    }
    let detector = Detector(form)
    let head = HeadReading(
      classes: asked.classes ?? said.classes ?? .realFake, form: headForm ?? .softmax)
    do {
      for remark in try detector.load(file.tensors, from: source, seed: 0, head: head) {
        tell(remark)
      }
    } catch let error as WeightsError {
      guard
        let correction = WeightsDescription.correction(
          of: shapes, takenFor: name, setting: "--model")
      else { throw error }
      throw WeightsError(description: "\(error); \(correction)")
    }
    let crop = asked.crop ?? said.crop ?? name.usualCrop
    guard name.crops.contains(crop) else {
      throw WeightsError(
        description: "\(source): \(name.rawValue) takes images of \(name.cropsText) pixels, not of "
          + "\(crop) (--crop)")
    }
    let (mean, std) = (asked.mean ?? said.mean ?? 0.5, asked.std ?? said.std ?? 0.25)
    // A checkpoint's own weights have their model's name there.
    let taken = [said.mean.map { "mean \($0)" }, said.std.map { "std \($0)" }].compactMap { $0 }
    if !taken.isEmpty, file.metadata["model"] == nil {
      tell(.note("\(source): \(taken.joined(separator: " and ")), as its metadata say"))
    }
    var assumed: [String] = []
    if asked.crop ?? said.crop == nil { assumed.append("--crop \(crop)") }
    if asked.mean ?? said.mean == nil { assumed.append("--mean \(mean)") }
    if asked.std ?? said.std == nil { assumed.append("--std \(std)") }
    if asked.classes ?? said.classes == nil { assumed.append("--classes real,fake") }
    if !assumed.isEmpty {
      tell(
        .note(
          "\(source) does not say how it is used, assumed: \(assumed.joined(separator: " "))"))
    }
    self.init(
      detector, crop: crop, mean: mean, std: std, source: path, preprocessing: said.preprocessing,
      // Used otherwise, its logits are others.
      calibration: isOverruled ? nil : said.temperature.map { Calibration(temperature: $0) })
  }

  /// Says where options win over what the file says.
  /// - Returns: whether any does.
  private static func tellOverruled(
    _ metadata: [String: String], _ asked: WeightsUse, source: String,
    _ tell: (WeightsRemark) -> Void
  ) -> Bool {
    func text(_ value: some Any) -> String { "\(value)" }
    guard let said = try? WeightsUse(metadata: metadata, unless: WeightsUse()) else { return false }
    var isOverruled = false
    let pairs: [(String, String?, String?)] = [
      ("--model", asked.model?.rawValue, said.model?.rawValue),
      ("--crop", asked.crop.map(text), said.crop.map(text)),
      ("--mean", asked.mean.map(text), said.mean.map(text)),
      ("--std", asked.std.map(text), said.std.map(text)),
      ("--classes", asked.classes?.rawValue, said.classes?.rawValue),
      ("--head", asked.head?.rawValue, said.head?.rawValue),
      ("--truncate", asked.truncate, said.truncate),
    ]
    for case (let option, let asked?, let said?) in pairs where asked != said {
      tell(.note("\(source): \(option) \(asked) wins over its metadata, which say \(said)"))
      isOverruled = true
    }
    return isOverruled
  }

  /// How its weights are used, as their metadata have it.
  public var use: WeightsUse {
    let form = detector.form
    return WeightsUse(
      model: form.name, crop: crop, mean: mean, std: std, classes: .realFake,
      head: form.head == .patch ? .patch : nil, truncate: form.truncate,
      preprocessing: preprocessing?.text, temperature: calibration?.temperature)
  }

  /// Shards to apply it to. Collective.
  ///
  /// - Parameter tell: told what the user should know of them.
  /// - Throws: what opening shards throws, `ShardPreprocessing.Mismatch`.
  public func open(
    _ patterns: [String], communicator: Communicator, tell: (String) -> Void = { _ in }
  ) throws -> ShardSet {
    let set = try SharedShards.open(patterns, communicator: communicator).set
    try check(set, tell: tell)
    return set
  }

  /// Refuses faces that were cut out otherwise than those that it was trained on.
  public func check(_ set: ShardSet, tell: (String) -> Void = { _ in }) throws {
    guard !takesAnyPreprocessing else { return }
    if let note = try set.check(preprocessing: preprocessing, of: source) { tell(note) }
  }
}

import Foundations

/// Weights that don't fit the detector.
public struct WeightsError: ReportableError, Equatable {
  public let description: String
  /// Whether it is a matter of the file's place rather than of what it holds.
  public let isInputOutput: Bool

  public var exitStatus: ExitStatus { isInputOutput ? .inputOutput : .badData }

  public init(description: String, isInputOutput: Bool = false) {
    self.description = description
    self.isInputOutput = isInputOutput
  }
}

extension Detector {
  /// All weights and running statistics under their published names and shapes.
  public func weights() -> [NamedTensor] {
    weights(
      values: UnsafePointer(values.baseAddress!),
      runningStatistics: UnsafePointer(runningStatistics.baseAddress!))
  }

  /// The same of copies of the two arenas.
  public func weights(
    values: UnsafePointer<Float>, runningStatistics: UnsafePointer<Float>
  ) -> [NamedTensor] {
    tensors(of: values)
      + norms.flatMap { norm in
        let mean = runningStatistics + norm.runningOffset
        return [(norm.runningMeanName, mean), (norm.runningVarianceName, mean + norm.stride)].map {
          NamedTensor(
            name: $0, shape: [norm.channels],
            values: Array(UnsafeBufferPointer(start: $1, count: norm.channels)))
        }
      }
  }

  /// Another arena of the same layout, such as the gradients or an optimizer's moments, as
  /// published tensors.
  public func tensors(of arena: UnsafePointer<Float>) -> [NamedTensor] {
    parameters.map {
      NamedTensor(name: $0.name, shape: $0.shape, values: $0.published(from: arena))
    }
  }

  /// Stores published tensors into another arena of the same layout; every parameter must be there.
  public func store(
    _ tensors: [NamedTensor], into arena: UnsafeMutablePointer<Float>, from source: String
  ) throws {
    let byName = Dictionary(tensors.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    for parameter in parameters {
      guard let tensor = byName[parameter.name] else {
        throw WeightsError(description: "\(source): tensor \(parameter.name) is missing")
      }
      guard tensor.shape == parameter.shape else {
        throw Self.mismatch(source, tensor, parameter.shape)
      }
      parameter.store(tensor.values, into: arena)
    }
  }

  /// Loads published weights, such as ImageNet's, under the names that other programs give them: see
  /// ``ResolvedNames``. Pointwise weights may be (out, in) or (out, in, 1, 1).
  ///
  /// - Parameters:
  ///   - source: what messages call the file.
  ///   - seed: a head that is replaced is drawn from it.
  ///   - head: how the head is read, and whether it may be replaced.
  /// - Returns: what the user should know.
  /// - Throws: ``WeightsError`` that names the tensor. Nothing is changed then.
  @discardableResult
  public func load(
    _ tensors: [NamedTensor], from source: String, seed: UInt64, head: HeadReading = HeadReading()
  ) throws -> [WeightsRemark] {
    func failure(_ problem: String) -> WeightsError {
      WeightsError(description: "\(source): \(problem)")
    }
    let byName = Dictionary(tensors.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    let resolved: ResolvedNames
    do throws(ResolvedNames.Problem) {
      resolved = try graph.resolve(
        byName.mapValues(\.shape), of: form, areSame: { byName[$0]?.values == byName[$1]?.values })
    } catch {
      throw failure(error.text)
    }
    var remarks: [WeightsRemark] = []
    if !resolved.prefix.isEmpty {
      remarks.append(.note("\(source): '\(printable(resolved.prefix))' is taken off its names"))
    }
    remarks += resolved.leftAside.map { .warning("\(source): \($0)") }
    if resolved.behind > 0 {
      remarks.append(
        .note(
          "\(source): \(resolved.behind) tensors behind \(form.truncate ?? "") are left aside"))
      guard head.isReplaceable else {
        throw failure(
          "it holds the whole \(name.rawValue), whose head is not one of \(form): these are weights "
            + "to begin a training from (model.weights), no such detector; train it first")
      }
    }

    let headName = graph.head.name
    var accepted: [(Parameter, [Float])] = []
    for parameter in parameters where !Self.isHead(parameter.name, of: headName) {
      let tensor = byName[resolved.fileName(parameter.name)]!
      try Self.checkFinite(tensor, source)
      accepted.append((parameter, tensor.values))
    }
    var statistics: [(UnsafeMutablePointer<Float>, [Float])] = []
    for norm in norms {
      for (tensorName, target) in [
        (norm.runningMeanName, runningMean(norm)),
        (norm.runningVarianceName, runningVariance(norm)),
      ] {
        let tensor = byName[resolved.fileName(tensorName)]!
        try Self.checkFinite(tensor, source)
        statistics.append((target, tensor.values))
      }
    }
    // The whole network's head belongs to another map.
    let headInFile = resolved.behind > 0 ? nil : resolved.head
    let read = try readHead(
      headInFile.map { (byName[$0 + ".weight"]!, byName[$0 + ".bias"], $0) }, source, head)
    if let read {
      for parameter in parameters where Self.isHead(parameter.name, of: headName) {
        accepted.append(
          (parameter, parameter.name.hasSuffix(".bias") ? read.bias : read.weight))
      }
    } else {
      let classes = resolved.head.flatMap { byName[$0 + ".weight"]?.shape.first }
      remarks.append(
        .warning(
          "\(source): "
            + (resolved.behind > 0 && classes != nil
              ? "the classifier is that of a longer network; a fresh one is put behind "
                + "\(form.truncate ?? "")" : Self.replacement(classes))))
    }

    initialise(seed: seed)
    for (parameter, values) in accepted { parameter.store(values, into: self.values.baseAddress!) }
    for (target, values) in statistics {
      for (c, value) in values.enumerated() { target[c] = value }
    }
    return remarks
  }

  fileprivate static func isHead(_ name: String, of head: String) -> Bool {
    name == head + ".weight" || name == head + ".bias"
  }

  private static func checkFinite(_ tensor: NamedTensor, _ source: String) throws {
    let bad = tensor.values.count { !$0.isFinite }
    guard bad == 0 else {
      throw WeightsError(
        description: "\(source): tensor \(printable(tensor.name)) has \(bad) of its "
          + "\(tensor.values.count) values not finite: the training that wrote it diverged, or the "
          + "file is damaged")
    }
  }

  // MARK: The head

  private static func replacement(_ classes: Int?) -> String {
    switch classes {
    case nil: "it has no classifier; a fresh one of two classes is put in its place"
    case 1:
      "the classifier has one logit; it is replaced by a fresh one of two classes (to keep it: "
        + "model.head: sigmoid)"
    case let classes?:
      "the classifier has \(classes) classes; it is replaced by a fresh one of two classes"
    }
  }

  /// The head as two logits, real first; nil where it is to be replaced.
  private func readHead(
    _ found: (weight: NamedTensor, bias: NamedTensor?, name: String)?, _ source: String,
    _ reading: HeadReading
  ) throws -> (weight: [Float], bias: [Float])? {
    func failure(_ problem: String) -> WeightsError {
      WeightsError(description: "\(source): \(problem)")
    }
    let own = graph.head.name
    guard let found else {
      if reading.isReplaceable { return nil }
      throw failure(
        "it has no head (tensor \(own).weight): these are weights to begin a training from "
          + "(model.weights), no detector")
    }
    let features = graph.head.features
    let (weight, name) = (found.weight, printable(found.name))
    guard let outputs = weight.shape.first, outputs > 0,
      ResolvedNames.fits(weight.shape, [outputs, features, 1, 1])
        || weight.shape == [outputs, features]
    else { throw Self.mismatch(source, weight, [2, features]) }
    guard let bias = found.bias else { throw failure("tensor \(name).bias is missing") }
    guard bias.shape == [outputs] else { throw Self.mismatch(source, bias, [outputs]) }
    try Self.checkFinite(weight, source)
    try Self.checkFinite(bias, source)

    switch (reading.form == .sigmoid ? HeadForm.sigmoid : .softmax, outputs) {
    case (.softmax, 2):
      guard reading.classes == .fakeReal else { return (weight.values, bias.values) }
      return (
        Array(weight.values[features...] + weight.values[..<features]),
        [bias.values[1], bias.values[0]]
      )
    case (.sigmoid, 1):
      // The other class's logit is 0.
      let zeros = [Float](repeating: 0, count: features)
      return reading.classes == .realFake
        ? (zeros + weight.values, [0, bias.values[0]])
        : (weight.values + zeros, [bias.values[0], 0])
    case (.sigmoid, _):
      throw failure(
        "its head \(name) has \(outputs) logits, and sigmoid is for one"
          + (outputs == 2 ? ": leave --head (model.head) out" : ""))
    case (.linear, _), (.patch, _): preconditionFailure("neither says how many logits there are")
    case (.softmax, _) where reading.isReplaceable: return nil
    case (.softmax, 1):
      throw failure(
        "its head \(name) has one logit: if class 1 is fake add --head sigmoid, and if it is real "
          + "--head sigmoid --classes fake,real")
    case (.softmax, _):
      throw failure(
        "its head \(name) has \(outputs) classes\(outputs == 1000 ? ", as ImageNet has" : ""): these "
          + "are weights to begin a training from (model.weights), no detector; train it first")
    }
  }

  private static func mismatch(_ source: String, _ tensor: NamedTensor, _ shape: [Int])
    -> WeightsError
  {
    WeightsError(
      description: "\(source): tensor \(tensor.name) has shape \(tensor.shape), expected \(shape)")
  }
}

extension NetworkGraph {
  /// Names and shapes of layers, then of running statistics, but for the head's.
  var body: [(name: String, shape: [Int])] {
    parameters.filter { !Detector.isHead($0.name, of: head.name) }.map { ($0.name, $0.shape) }
      + norms.flatMap { norm in
        [norm.runningMeanName, norm.runningVarianceName].map { ($0, [norm.channels]) }
      }
  }

  /// Finds this network's tensors among a file's; see ``ResolvedNames``.
  fileprivate func resolve(
    _ found: [String: [Int]], of form: DetectorForm, areSame: (String, String) -> Bool
  ) throws(ResolvedNames.Problem) -> ResolvedNames {
    let names = form.name.publishedNames
    let body = body
    let own = Set(body.map(\.name))
    let beyond =
      form.truncate == nil
      ? [] : form.name.graph.body.map(\.name).filter { !own.contains($0) }
    func resolved(by table: [String: String]) throws(ResolvedNames.Problem) -> ResolvedNames {
      var result = try ResolvedNames(
        found, body: body.map { (PublishedNames.renamed($0.0, by: table), $0.1) }, names: names,
        network: form.description,
        beyond: Set(beyond.map { PublishedNames.renamed($0, by: table) }), areSame: areSame)
      result.table = table
      return result
    }
    // The problem is worth saying with the names that come closest.
    var closest: ResolvedNames.Problem?
    for table in [[:]] + names.tables {
      do throws(ResolvedNames.Problem) {
        return try resolved(by: table)
      } catch {
        if closest.map({ error.fitting > $0.fitting }) ?? true { closest = error }
      }
    }
    throw closest!
  }
}

/// What the names and shapes of a file's tensors tell, before any value is read.
public struct WeightsDescription: Sendable, Equatable {
  public let form: DetectorForm
  public var model: DetectorName { form.name }
  /// What all names have in front; usually empty.
  public let prefix: String
  /// The whole name of the head in the file, its outputs, and whether it has the bias that a detector
  /// needs; nil where there is none.
  public let head: (name: String, outputs: Int, hasBias: Bool)?
  /// Lines about what would be left aside.
  public let leftAside: [String]

  public static func == (a: Self, b: Self) -> Bool {
    a.form == b.form && a.prefix == b.prefix && a.head?.name == b.head?.name
      && a.head?.outputs == b.head?.outputs && a.head?.hasBias == b.head?.hasBias
      && a.leftAside == b.leftAside
  }

  /// The detectors that the tensors are, by their names and shapes. Those of several may have the same
  /// ones and compute other things with them.
  ///
  /// - Parameters:
  ///   - shapes: by name.
  ///   - truncate: the stage behind which the network ends, where somebody says so.
  ///   - head: likewise.
  public static func all(
    of shapes: [String: [Int]], truncate: String? = nil, head: HeadKind = .linear
  ) -> [WeightsDescription] {
    DetectorName.allCases.compactMap { model in
      let form = DetectorForm(model, truncate: truncate, head: head)
      guard form.problem == nil, let found = try? Self(of: shapes, as: form), found.isComplete
      else { return nil }
      return found
    }
  }

  /// The first detector that the tensors are; nil if they are none.
  ///
  /// - Parameters:
  ///   - shapes: by name.
  ///   - truncate: the stage behind which the network ends, where somebody says so.
  ///   - head: likewise.
  public init?(of shapes: [String: [Int]], truncate: String? = nil, head: HeadKind = .linear) {
    guard let first = Self.all(of: shapes, truncate: truncate, head: head).first else { return nil }
    self = first
  }

  /// Why the tensors are not those of a detector although they resemble it; nil where they are, or
  /// resemble none.
  public static func problem(of shapes: [String: [Int]]) -> String? {
    all(of: shapes).isEmpty ? WeightsDifference(nearestTo: shapes)?.problem : nil
  }

  /// Why the tensors are not that detector's; nil where they are.
  static func problem(of shapes: [String: [Int]], as model: DetectorName) -> String? {
    do throws(ResolvedNames.Problem) {
      _ = try Self(of: shapes, as: DetectorForm(model))
      return nil
    } catch {
      return error.text
    }
  }

  /// What to say to somebody who takes tensors for another network's than they are.
  ///
  /// - Parameters:
  ///   - shapes: by name.
  ///   - name: what they are taken for.
  ///   - setting: how a network is chosen, such as `--model`.
  /// - Returns: nil where they are that network's, or no network's.
  public static func correction(
    of shapes: [String: [Int]], takenFor name: DetectorName, setting: String
  ) -> String? {
    let models = all(of: shapes).map(\.model)
    guard let first = models.first, !models.contains(name) else { return nil }
    let others = models.dropFirst().map(\.rawValue)
    return "these are the weights of \(first.rawValue)"
      + (others.isEmpty ? "" : ", or of \(list(others)), which have the same tensors")
      + ": use \(setting) \(first.rawValue)"
  }

  /// "a, b or c".
  package static func list(_ names: [String]) -> String {
    names.count < 2
      ? names.joined() : "\(names.dropLast().joined(separator: ", ")) or \(names.last!)"
  }

  /// It is this network and no longer one.
  private let isComplete: Bool

  private init(of shapes: [String: [Int]], as form: DetectorForm) throws(ResolvedNames.Problem) {
    let resolved = try form.graph.resolve(shapes, of: form, areSame: { _, _ in false })
    self.form = form
    isComplete = resolved.behind == 0
    prefix = resolved.prefix
    head = resolved.head.map {
      ($0, shapes[$0 + ".weight"]?.first ?? 0, shapes[$0 + ".bias"] != nil)
    }
    leftAside = resolved.leftAside
  }
}

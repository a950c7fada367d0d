import Foundations
import Images
import Networks

/// How weights are to be used: what a user says of them, or what they say in their own metadata. Nil
/// is what is not said.
public struct WeightsUse: Sendable, Equatable {
  public var model: DetectorName?
  /// Height and width of the input in pixels.
  public var crop: Int?
  /// Pixels become (value / 255 − mean) / std.
  public var mean: ChannelValues?
  public var std: ChannelValues?
  public var classes: ClassOrder?
  public var head: HeadForm?
  /// The stage in which the network ends.
  public var truncate: String?
  /// How the faces that it was trained on were cut out (`ShardPreprocessing`).
  public var preprocessing: String?
  /// What logits are divided by for probabilities, see ``Calibration``.
  public var temperature: Double?

  public init(
    model: DetectorName? = nil, crop: Int? = nil, mean: ChannelValues? = nil,
    std: ChannelValues? = nil, classes: ClassOrder? = nil, head: HeadForm? = nil,
    truncate: String? = nil, preprocessing: String? = nil, temperature: Double? = nil
  ) {
    self.temperature = temperature
    self.preprocessing = preprocessing
    self.model = model
    self.crop = crop
    self.mean = mean
    self.std = std
    self.classes = classes
    self.head = head
    self.truncate = truncate
  }

  /// What a training writes into its weights.
  package init(_ detector: CheckpointState.Detector) {
    self.init(
      model: DetectorName(rawValue: detector.name), crop: detector.crop, mean: detector.mean,
      std: detector.std, classes: .realFake, head: detector.head == .patch ? .patch : nil,
      truncate: detector.truncate, preprocessing: detector.preprocessing,
      temperature: detector.calibration?.temperature)
  }

  // MARK: Metadata

  /// The texts that safetensors files keep beside their tensors: `model`, `crop`, `mean` and `std`
  /// (lists of three numbers), `classes`; `preprocessing` of the faces; `temperature` where calibrated;
  /// `truncate` and `head` (patch) of a network that is not whole;
  /// and `format`, which other programs look for.
  package var metadata: [String: String] {
    var texts = ["format": "pt"]
    texts["model"] = model?.rawValue
    texts["crop"] = crop.map { "\($0)" }
    texts["mean"] = mean.map(Self.list)
    texts["std"] = std.map(Self.list)
    texts["classes"] = classes?.rawValue
    texts["truncate"] = truncate
    texts["preprocessing"] = preprocessing
    texts["temperature"] = temperature.map { "\($0)" }
    if head == .patch { texts["head"] = HeadForm.patch.rawValue }
    return texts
  }

  private static func list(_ values: ChannelValues) -> String {
    "[\(values.all.map { "\($0)" }.joined(separator: ", "))]"
  }

  /// A text of the metadata that can't be what it should.
  package struct Malformed: Error {
    package let key: String
    package let text: String
    package let wanted: String
    /// The option that says it instead.
    let option: String
  }

  /// Reads metadata: that of ``metadata``, and what others write: `architecture` or `model_name` for the
  /// model, `input_size` as [3, height, width].
  ///
  /// - Parameter asked: what needs no answer of the metadata's.
  /// - Throws: ``Malformed`` for a text that can't be understood, where no other answers.
  package init(metadata: [String: String], unless asked: WeightsUse) throws(Malformed) {
    self.init()
    if asked.model == nil {
      let names = ["model", "architecture", "model_name"].compactMap { metadata[$0] }
      let published: [String: DetectorName] = [
        "legacy_xception": .xception, "efficientnet_b0": .efficientnetB0,
        "efficientnet_b4": .efficientnetB4, "tf_efficientnet_b0": .tfEfficientnetB0,
        "tf_efficientnet_b4": .tfEfficientnetB4,
        "mobilenetv2_100": .mobilenetV2,
        "vgg16_bn": .vgg16BN, "convnext_tiny": .convnextTiny,
      ]
      model =
        names.lazy.map(Self.withoutTag).compactMap { DetectorName(rawValue: $0) ?? published[$0] }
        .first
      // Another network may have the very tensors of one that is known.
      if model == nil, let text = names.first {
        throw Malformed(
          key: "model", text: text, wanted: "a network that is known here", option: "--model")
      }
    }
    if asked.truncate == nil { truncate = metadata["truncate"] }
    if asked.preprocessing == nil { preprocessing = metadata["preprocessing"] }
    // What can't be one calibrates nothing.
    temperature = metadata["temperature"].flatMap { Double($0) }.flatMap {
      Calibration.isPossible($0) ? $0 : nil
    }
    if asked.head == nil, metadata["head"] == HeadForm.patch.rawValue { head = .patch }
    if asked.crop == nil {
      if let text = metadata["crop"] {
        guard let side = Int(text), (DetectorName.smallestCrop...4096).contains(side) else {
          throw Malformed(key: "crop", text: text, wanted: "a number of pixels", option: "--crop")
        }
        crop = side
      } else if let text = metadata["input_size"] {
        guard let sides = Self.numbers(text), sides.count >= 2, let side = sides.last,
          side == sides[sides.count - 2], let pixels = Int(exactly: side),
          (DetectorName.smallestCrop...4096).contains(pixels)
        else {
          throw Malformed(
            key: "input_size", text: text, wanted: "a square such as [3, 224, 224]",
            option: "--crop")
        }
        crop = pixels
      }
    }
    if asked.mean == nil {
      mean = try Self.channels("mean", metadata, "--mean") { abs($0) <= 1 }
    }
    if asked.std == nil { std = try Self.channels("std", metadata, "--std") { $0 > 0 && $0 <= 2 } }
    if asked.classes == nil, let text = metadata["classes"] {
      let plain = text.filter { !"[]\"' ".contains($0) }.lowercased()
      classes = ClassOrder(rawValue: plain)
      guard classes != nil else {
        throw Malformed(
          key: "classes", text: text, wanted: "real,fake or fake,real", option: "--classes")
      }
    }
  }

  /// A name of timm's without what tells which weights they are, such as `.ns_jft_in1k` or `_ns`.
  private static func withoutTag(_ name: String) -> String {
    var name = String(name.prefix { $0 != "." })
    for tag in ["_ns", "_ap", "_aa"] where name.hasSuffix(tag) { name.removeLast(tag.count) }
    return name
  }

  private static func numbers(_ text: String) -> [Double]? {
    guard let json = try? JSON(parsing: Array(text.utf8)) else { return nil }
    if let number = json.doubleValue { return [number] }
    let list = json.arrayValue?.compactMap(\.doubleValue)
    return list?.count == json.arrayValue?.count ? list : nil
  }

  /// - Parameter isPossible: whether it may be for pixels of 0...1.
  private static func channels(
    _ key: String, _ metadata: [String: String], _ option: String, isPossible: (Double) -> Bool
  ) throws(Malformed) -> ChannelValues? {
    guard let text = metadata[key] else { return nil }
    guard let values = numbers(text).flatMap({ ChannelValues($0) }),
      values.all.allSatisfy(isPossible)
    else {
      throw Malformed(
        key: key, text: text, wanted: "one number or three, for pixels of 0 to 1", option: option)
    }
    return values
  }
}

extension ChannelValues {
  /// A number, or a list of three.
  public init?(_ json: JSON) {
    if let number = json.doubleValue {
      self.init(number)
    } else {
      let list = json.arrayValue?.compactMap(\.doubleValue) ?? []
      guard list.count == 3, json.arrayValue?.count == 3 else { return nil }
      self.init(list)
    }
  }

  /// A number where all channels have the same, or else a list of three.
  public var json: JSON { common.map { .number($0) } ?? .array(all.map { .number($0) }) }
}

/// How far probabilities can be believed: of images that were given a probability of fake of about p, a
/// share of p should be fake.
public struct Reliability: Equatable, Sendable {
  /// Images whose probability lies in one part of 0…1.
  public struct Bin: Equatable, Sendable, Codable {
    /// Where the part begins and ends.
    public var from: Double
    public var to: Double
    public var images: Int
    /// Their mean probability of fake.
    public var probability: Double
    /// The share of them that is fake.
    public var fakes: Double
  }

  public static let binCount = 15

  /// Equal parts of 0…1, those with images.
  public let bins: [Bin]
  /// Expected calibration error: the mean of |share of fakes − mean probability| over the images (Naeini et
  /// al., AAAI 2015; Guo et al. 2017 with as many bins). It is above 0 by chance alone where there are few
  /// images.
  public let error: Double
  /// What the probabilities were made with; nil where they are not calibrated.
  public let temperature: Double?

  /// - Parameters:
  ///   - probabilities: of fake, of each image; at least one.
  ///   - labels: 0 real, 1 fake.
  public init(probabilities: [Double], labels: [UInt8], temperature: Double?) {
    let count = Self.binCount
    var sums = [(images: Int, probability: Double, fakes: Int)](repeating: (0, 0, 0), count: count)
    for (probability, label) in zip(probabilities, labels) {
      let bin = min(Int(probability * Double(count)), count - 1)
      sums[bin].images += 1
      sums[bin].probability += probability
      sums[bin].fakes += Int(label)
    }
    var error = 0.0
    bins = sums.enumerated().compactMap { place, sum in
      guard sum.images > 0 else { return nil }
      error += (Double(sum.fakes) - sum.probability).magnitude
      return Bin(
        from: Double(place) / Double(count), to: Double(place + 1) / Double(count),
        images: sum.images, probability: sum.probability / Double(sum.images),
        fakes: Double(sum.fakes) / Double(sum.images))
    }
    self.error = error / Double(max(1, probabilities.count))
    self.temperature = temperature
  }
}

extension Reliability: Encodable {
  private enum Keys: String, CodingKey { case temperature, error, bins }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    try container.encode(temperature, forKey: .temperature)
    try container.encode(error, forKey: .error)
    try container.encode(bins, forKey: .bins)
  }
}

/// Similarities of many fake images whose methods are known, from which attribution is judged and its
/// rejection threshold chosen.
///
/// Everything is kept in `rows`, plain numbers, so that the parts of several ranks are put together
/// by gathering rows, or with `merge`:
///
/// | column | holds |
/// | --- | --- |
/// | 0 | index of the image's method among the prototypes; −1 if it has none |
/// | 1…M | plain similarities |
/// | M+1…2M | centred similarities |
/// | 2M+1, 2M+2 | largest plain and centred similarity with the prototypes of the *other* methods; −1 for an image whose method has no prototype |
///
/// The last two say what the image would look like if its method had never been seen.
public struct AttributionTrial: Sendable {
  /// Names of the prototypes.
  public let methods: [String]
  /// One row of `columns` numbers for each image.
  public var rows: [Double] = []
  /// Numbers in a row.
  public var columns: Int { 2 * methods.count + 3 }
  /// Images added.
  public var images: Int { rows.count / columns }

  private let attribution: Attribution
  /// For each method, attribution by the prototypes of the others.
  private let others: [Attribution]

  public init(_ prototypes: Prototypes) {
    methods = prototypes.methods
    attribution = Attribution(prototypes)
    others = prototypes.methods.indices.map { Attribution(prototypes.removing($0)) }
  }

  /// Adds a fake image.
  ///
  /// - Parameters:
  ///   - normalised: its normalised attention map, of the size of the prototypes, finite.
  ///   - method: name of the method that made it, whether there is a prototype for it or not.
  /// - Returns: its similarities.
  @discardableResult
  public mutating func add(
    _ normalised: UnsafeBufferPointer<Float>, method: String
  ) -> Similarities {
    let similarities = attribution.similarities(normalised)
    let index = methods.firstIndex(of: method)
    rows.append(Double(index ?? -1))
    rows += similarities.plain
    rows += similarities.centred
    if let index {
      let left = others[index].similarities(normalised)
      rows += [left.largest(.plain), left.largest(.centred)]
    } else {
      rows += [-1, -1]
    }
    return similarities
  }

  /// Adds a fake image whose map is an array.
  @discardableResult
  public mutating func add(_ normalised: [Float], method: String) -> Similarities {
    normalised.withUnsafeBufferPointer { add($0, method: method) }
  }

  /// Adds the images of another trial with the same prototypes.
  public mutating func merge(_ other: AttributionTrial) {
    precondition(
      other.methods == methods, "AttributionTrial: expected a trial with the same prototypes")
    rows += other.rows
  }

  /// The method of an image; nil if it has no prototype.
  func method(_ image: Int) -> Int? {
    let index = Int(rows[image * columns])
    return index < 0 ? nil : index
  }

  /// The similarities of an image.
  func similarities(_ image: Int) -> Similarities {
    let start = image * columns + 1
    return Similarities(
      plain: Array(rows[start..<start + methods.count]),
      centred: Array(rows[start + methods.count..<start + 2 * methods.count]))
  }

  /// The largest similarity of an image with another method's prototype.
  func largestWithOthers(_ image: Int, _ kind: AttributionKind) -> Double {
    rows[(image + 1) * columns - (kind == .plain ? 2 : 1)]
  }

  /// A threshold chosen on the images of this trial.
  ///
  /// If there are images of methods without a prototype, those are the unknown ones; otherwise, with
  /// three prototypes or more, every image also serves as an unknown one, scored against the
  /// prototypes of the other methods (fewer than two of those leave nothing to centre). Where neither
  /// is possible, the threshold accepts 95 % of the known images.
  ///
  /// - Returns: nil without images of known methods.
  public func rejectionThreshold(_ kind: AttributionKind) -> RejectionThreshold? {
    var known: [Double] = []
    var unknown: [Double] = []
    var leftOut: [Double] = []
    for image in 0..<images {
      let largest = similarities(image).largest(kind)
      if method(image) == nil {
        unknown.append(largest)
      } else {
        known.append(largest)
        leftOut.append(largestWithOthers(image, kind))
      }
    }
    if unknown.isEmpty && methods.count >= 3 { unknown = leftOut }
    return unknown.isEmpty
      ? .accepting(0.95, known: known) : .balanced(known: known, unknown: unknown)
  }
}

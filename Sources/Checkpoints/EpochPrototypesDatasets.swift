import ForgeryMining
import HierarchicalData

/// The prototypes of the epoch under way, in a prototypes file.
///
/// | name | type | shape | meaning |
/// | --- | --- | --- | --- |
/// | `epoch_prototypes` | float32 | [E, H, H] | mean normalised Forgery Attention Maps of the epoch's training images so far |
/// | `epoch_counts` | int64 | [E] | of how many images each is the mean |
/// | `epoch_method_names` | string | [E] | their manipulation methods |
/// | `epoch_sums` | int64 | [E, H, H] | the sums that they are made of, in 2^-30, to go on from |
/// | `epoch_coverage` | int32 | [E, H, H] | how many maps reached each pixel |
///
/// The root attribute `epoch` is the epoch's number, from 0.
extension EpochPrototypes {
  private enum Name {
    static let epoch = "epoch"
    static let prototypes = "epoch_prototypes"
    static let counts = "epoch_counts"
    static let methods = "epoch_method_names"
    static let sums = "epoch_sums"
    static let coverage = "epoch_coverage"
  }

  /// - Precondition: there is a method.
  func write(to file: borrowing HDF5File) throws {
    let shape = [methods.count, side, side]
    let layout = HDF5Layout(chunk: [1, side, side], fletcher32: true)
    try file.write(Name.prototypes, prototypes.maps, shape: shape, layout: layout)
    try file.write(Name.counts, counts)
    try file.write(Name.methods, methods)
    try file.write(Name.sums, sums, shape: shape, layout: layout)
    try file.write(
      Name.coverage, coverage.map { Int32(clamping: $0) }, shape: shape, layout: layout)
    try file.setAttribute(Name.epoch, .integer(Int64(epoch)))
  }

  /// - Returns: nil where the file has none.
  /// - Throws: `HDF5Error`, and what `refuse` makes of a reason.
  init?(reading file: borrowing HDF5File, refuse: (String) -> PrototypesFileError) throws {
    guard try file.hasDataset(Name.sums) else { return nil }
    let sums = try file.dataset(Name.sums)
    let shape = sums.shape
    guard shape.count == 3, shape[1] == shape[2], shape[0] <= PrototypesFile.methodLimit,
      (1...PrototypesFile.sideLimit).contains(shape[1]), case .integer = sums.type
    else { throw refuse("\(Name.sums) is \(sums.type) \(shape), expected int64 [methods, H, H]") }
    let coverage = try file.dataset(Name.coverage)
    let counts = try file.dataset(Name.counts)
    guard coverage.shape == shape, case .integer = coverage.type, counts.shape == [shape[0]],
      case .integer = counts.type
    else { throw refuse("\(Name.coverage) or \(Name.counts) does not fit \(Name.sums)") }
    let names = try file.dataset(Name.methods).readStrings(limit: 1 << 20)
    guard names.count == shape[0], Set(names).count == names.count, !names.contains("") else {
      throw refuse("\(Name.methods) does not name each of \(shape[0]) methods once")
    }
    guard case .integer(let epoch)? = try file.attribute(Name.epoch), epoch >= 0 else {
      throw refuse("it has no valid attribute \"\(Name.epoch)\"")
    }
    self.init(
      epoch: Int(epoch), methods: names, side: shape[1], sums: try sums.readAll(as: Int64.self),
      coverage: try coverage.readAll(as: Int64.self), counts: try counts.readAll(as: Int64.self))
    // No map is brighter than 1, so no pixel's sum is larger than its coverage.
    let fits = zip(self.sums, self.coverage).allSatisfy { sum, coverage in
      (0...Int64(Int32.max)).contains(coverage) && (0...coverage << 30).contains(sum)
    }
    guard fits, self.counts.allSatisfy({ $0 >= 0 }) else {
      throw refuse("\(Name.sums) holds what can't be a sum of maps in [0, 1]")
    }
  }
}

/// What a backward sweep of a 3×3 convolution with stride 1 keeps between two tiles of a map.
///
/// The sweep goes down the map. Each tile adds some rows of the gradient of the operand (of depthwise
/// outputs, or of patches) below those that are there; then the rows of the input's gradient that no
/// later tile adds to can be written. For the next of them the last operand rows are still needed: they
/// move to the beginning of the memory.
struct SlidingRows {
  /// Rows of the operand's gradient from `held` on.
  let memory: UnsafeMutableRawPointer
  private let rowBytes: Int
  private let outputHeight: Int
  private let inputHeight: Int
  private let padding: Int

  /// The first row that the memory holds.
  private(set) var held = 0
  /// Rows of the input's gradient above this one are written.
  private var done = 0

  /// - Parameters:
  ///   - memory: room for a tile's rows and two more.
  ///   - rowBytes: of one row of the operand's gradient.
  ///   - padding: 1, or 0 where the map loses its border.
  init(
    _ memory: UnsafeMutableRawPointer, rowBytes: Int, outputHeight: Int, inputHeight: Int,
    padding: Int
  ) {
    self.memory = memory
    self.rowBytes = rowBytes
    self.outputHeight = outputHeight
    self.inputHeight = inputHeight
    self.padding = padding
  }

  /// Where the rows from `row` on belong.
  func place(of row: Int) -> UnsafeMutableRawPointer { memory + (row - held) * rowBytes }

  /// The rows of the input's gradient that can be written now that the memory holds the rows above
  /// `end`.
  func ready(upTo end: Int) -> Range<Int> {
    done..<(end == outputHeight ? inputHeight : end - padding)
  }

  /// Makes room for the next tile, after the rows of ``ready(upTo:)`` have been written.
  mutating func slide(upTo end: Int) {
    done = ready(upTo: end).upperBound
    guard end < outputHeight else { return }
    // Input row r is reached by the operand's rows r + padding − 2 to r + padding.
    let first = max(0, done + padding - 2)
    memory.copyMemory(from: place(of: first), byteCount: (end - first) * rowBytes)
    held = first
  }
}

// The token kernel for each kind of weights; each is compiled in a file of its own, since each takes long.
#pragma once

namespace uaqf::cuda {

struct TokenLauncher {
  const void* kernel = nullptr;  // takes a TokenParams by value
  int chunk_bytes = 0;           // largest asynchronous copy of weights
  int step_cols = 0;             // columns of a block
  int planes = 0;                // of bytes that the staged vector takes; 0: FP16 halves
};

TokenLauncher Fp16Token();
TokenLauncher Int8Token();
TokenLauncher Int8Int8Token();  // the second INT8: activations
TokenLauncher Int4RowToken();
TokenLauncher Int4G128Token();
TokenLauncher Int4G64Token();
TokenLauncher Int4G32Token();
TokenLauncher Int4Int8Token();
// With zeros, and inputs in any order.
TokenLauncher Int4AffineG128Token();
TokenLauncher Int4AffineG64Token();
TokenLauncher Int4AffineG32Token();
// The same with rounded inputs, over a cache of 16 or 4 bits.
TokenLauncher Int4RoundedG128Token(int kv_bits);
TokenLauncher Int4RoundedG64Token(int kv_bits);

// The same over a quantized cache of 8 or 4 bits.
TokenLauncher Fp16KvToken(int kv_bits);
TokenLauncher Int8KvToken(int kv_bits);
TokenLauncher Int8Int8KvToken(int kv_bits);
TokenLauncher Int4RowKvToken(int kv_bits);
TokenLauncher Int4G128KvToken(int kv_bits);
TokenLauncher Int4G64KvToken(int kv_bits);
TokenLauncher Int4G32KvToken(int kv_bits);
TokenLauncher Int4Int8KvToken(int kv_bits);

}  // namespace uaqf::cuda
